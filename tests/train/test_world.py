"""Processes that a launcher has started find each other, and together do what one would do alone."""

from __future__ import annotations

import json
import logging
import math
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from passingloop.errors import MissingError
from passingloop.handoff import World
from passingloop.job import UNDESTROYED, leave
from passingloop.train.evaluation import evaluate
from passingloop.train.passes import Processes
from passingloop.train.world import LaunchedEnvironment, all_reduce, process_group, usable_gpus
from tests.conftest import Compose
from tests.train.tiny import fine_tuner, layout, make_model, optim, random_ids, write_tokens

pytestmark = pytest.mark.process

LENGTHS = [2, 3, 5, 5, 8, 9, 13]
CLASSES = 3


def act(folder: Path, world: World) -> dict[str, Any]:
    """A step's gradient and the metrics, of a part that does not divide evenly; `folder` is this process's own."""
    with process_group(world, 0) as fabric:
        tokens = write_tokens(folder, random_ids(LENGTHS), labels=[0, 1, 2, 0, 1, 2, 0])
        module = fine_tuner(make_model("bert", "classification", num_labels=CLASSES), "classification", optim())
        wrapped, _ = fabric.setup(module, module.configure_optimizers())
        if world.size > 1:
            UNDESTROYED.append(wrapped)
        laid_out = layout(tokens, "classification", batch_tokens=16)
        steps = []
        for examples in (np.arange(7), np.arange(1)):  # the second has nothing for the second process
            batches = laid_out.step(examples, world)
            for number, batch in enumerate(batches, start=1):
                with fabric.no_backward_sync(wrapped, enabled=number < len(batches)):
                    fabric.backward(wrapped.training_step(batch))
            steps.append([float(p.grad.double().norm()) for p in module.parameters()])
            module.zero_grad()
        metrics = evaluate(module, laid_out, fabric, world, CLASSES)
        mean = all_reduce(fabric, torch.tensor(float(world.rank)), "mean")
        group = Processes(fabric)
        agreed = [group.leads, group.share(f"of {world.rank}"), group.largest(world.rank), group.largest(math.inf)]
        return {"steps": steps, "metrics": metrics, "mean": float(mean), "rank": fabric.global_rank, "agreed": agreed}


def test_lightning_is_told_the_ranks() -> None:
    environment = LaunchedEnvironment(World(5, 8, 1, 4, "n1", 29500))
    assert (environment.main_address, environment.main_port) == ("n1", 29500)
    assert (environment.global_rank(), environment.world_size(), environment.local_rank()) == (5, 8, 1)
    assert environment.node_rank() == 1
    assert environment.creates_processes_externally and not LaunchedEnvironment.detect()


def test_two_processes_do_what_one_does(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    processes = []
    for rank in (0, 1):
        places = {"RANK": rank, "WORLD_SIZE": 2, "LOCAL_RANK": rank, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
        places["LOCAL_WORLD_SIZE"] = 2
        environment = os.environ | {name: str(value) for name, value in places.items()} | {"OMP_NUM_THREADS": "1"}
        command = [sys.executable, "-m", "tests.train.test_world", str(tmp_path / str(rank))]
        root = Path(__file__).parents[2]
        processes.append(subprocess.Popen(command, env=environment, cwd=root, stdout=subprocess.PIPE, text=True))
    outputs = [process.communicate(timeout=120)[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0]
    alone = act(tmp_path / "alone", World(0, 1, 0, 1))
    for rank, output in enumerate(outputs):
        found = json.loads(output.splitlines()[-1])
        assert (found["rank"], found["mean"]) == (rank, 0.5)
        assert found["agreed"] == [rank == 0, "of 0", 1.0, math.inf]
        assert found["metrics"] == pytest.approx(alone["metrics"], rel=1e-6)
        for ours, theirs in zip(found["steps"], alone["steps"], strict=True):
            assert ours == pytest.approx(theirs, rel=1e-4, abs=1e-7)


if __name__ == "__main__":
    print(json.dumps(act(Path(sys.argv[1]), World.from_environment(os.environ))))
    leave(0)


def test_gpus_that_torch_does_not_see(
    compose: Compose, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)  # another test of this process may have left the root logger at DEBUG
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert (usable_gpus(compose()), caplog.text) == (0, "")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    assert usable_gpus(compose("cluster.simulated_gpus=true", "resources.gpus=2")) == 0
    assert (usable_gpus(compose("resources.gpus=0")), caplog.text) == (0, "")
    with pytest.raises(MissingError, match=r"You set resources\.gpus=2, but torch sees no GPU here\."):
        usable_gpus(compose("resources.gpus=2"))
    assert usable_gpus(compose()) == 0
    assert "CUDA_VISIBLE_DEVICES=0,1, but torch sees no GPU, so the CPUs are used." in caplog.text
