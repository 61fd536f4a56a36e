"""A model spread over processes learns, saves, resumes and exports what a whole one does."""

from __future__ import annotations

import dataclasses
import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.fabric import Fabric
from safetensors.torch import load_file, save_file
from torch.distributed.checkpoint.api import CheckpointException

from passingloop.train.checkpoints import shards, tensors
from passingloop.train.ending.export import export, weights_sha256
from tests.train.checkpoints.sharded import CASES, Training, same
from tests.train.tiny import ALONE, make_tokenizer

pytestmark = pytest.mark.process


def start(size: int, folder: Path) -> list[dict[str, Any]]:
    """What each of `size` processes finds."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    processes = []
    for rank in range(size):
        places = {"RANK": rank, "WORLD_SIZE": size, "LOCAL_RANK": rank, "LOCAL_WORLD_SIZE": size}
        places |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "OMP_NUM_THREADS": 1}
        environment = os.environ | {name: str(value) for name, value in places.items()}
        command = [sys.executable, "-m", "tests.train.checkpoints.sharded", str(folder)]
        root = Path(__file__).parents[3]
        processes.append(subprocess.Popen(command, env=environment, cwd=root, stdout=subprocess.PIPE, text=True))
    try:
        outputs = [process.communicate(timeout=120)[0] for process in processes]
    finally:
        for process in processes:
            process.kill()
    assert [process.returncode for process in processes] == [0] * size
    return [json.loads(output.splitlines()[-1]) for output in outputs]


@dataclasses.dataclass
class Outcome:
    folder: Path
    alone: dict[str, Any]
    two: list[dict[str, Any]]
    three: list[dict[str, Any]]


@pytest.fixture(scope="module")
def outcome(tmp_path_factory: pytest.TempPathFactory, fabric: Fabric) -> Iterator[Outcome]:
    """What one process does without shards, two with, and three with their files."""
    folder = tmp_path_factory.mktemp("shard")
    torch.use_deterministic_algorithms(True)
    alone = {}
    for name, case in CASES.items():
        (folder / name / "whole").mkdir(parents=True)
        training = Training(case, "alone", folder / name, fabric, ALONE)
        metrics = training.evaluate()
        training.module.eval()
        alone[name] = {"metrics": metrics, "steps": [training.step(k) for k in range(4)]}
        save_file(tensors.weights(training.module), folder / name / "whole" / "weights.safetensors")
        state = tensors.optimizer_state(training.module, training.optimizer)
        save_file(state, folder / name / "whole" / "optimizer.safetensors")
    yield Outcome(folder, alone, start(2, folder), start(3, folder))
    torch.use_deterministic_algorithms(False)


each = pytest.mark.parametrize("name", CASES)


@each
def test_it_learns_what_a_whole_model_learns(outcome: Outcome, name: str) -> None:
    close = {"rel": 1e-3} if CASES[name].bf16 else {"rel": 1e-5}
    alone = outcome.alone[name]
    for found in outcome.two:
        for k, step in enumerate(alone["steps"]):
            assert found[name]["fsdp"][k] == pytest.approx(step, **close)
            assert found[name]["fsdp"][k] == pytest.approx(found[name]["ddp"][k], **close)
        assert found[name]["metrics"] == pytest.approx(alone["metrics"], **close)


@each
def test_gradients_are_reduced_once_a_step(outcome: Outcome, name: str) -> None:
    """Or in every one of two or three micro-batches, with the same result."""
    for found in outcome.two:
        once, each_time = found[name]["reductions"]
        assert each_time == once * (2 if CASES[name].packed else 3) > 0
        for ours, theirs in zip(found[name]["fsdp"], found[name]["fsdp, each"], strict=True):
            assert ours == pytest.approx(theirs, rel=1e-5)


@each
def test_each_process_holds_a_part(outcome: Outcome, name: str) -> None:
    """Of a dimension of odd size the first has one row more."""
    for weights, all_held in (found[name]["share"] for found in outcome.two):
        assert weights == pytest.approx(0.5, abs=0.03) and all_held == pytest.approx(0.5, abs=0.03)


@each
def test_a_resumed_run_goes_on_bitwise(outcome: Outcome, name: str) -> None:
    """Saved by a thread while training went on."""
    assert all(found[name]["resumed"] for found in outcome.two)


@each
def test_a_step_can_be_left_out_on_the_device(outcome: Outcome, name: str) -> None:
    """As one whose gradient is not finite."""
    assert all(found[name]["left out"] for found in outcome.two)


@each
def test_an_evaluation_leaves_it_sharded(outcome: Outcome, name: str) -> None:
    assert all(found[name]["sharded after evaluation"] for found in outcome.two)


@each
def test_files_of_two_are_loaded_by_three(outcome: Outcome, name: str) -> None:
    assert all(found[name]["loaded"] for found in outcome.three)
    metrics = [found[name]["metrics"] for found in outcome.three]
    assert metrics[1:] == metrics[:1] * 2


@each
def test_files_of_two_are_loaded_without_shards(outcome: Outcome, name: str, tmp_path: Path, fabric: Fabric) -> None:
    training = Training(CASES[name], "alone", tmp_path, fabric, ALONE)
    training.load(outcome.folder / name / "sharded")
    assert same(training.gathered(), load_file(outcome.folder / name / "gathered.safetensors"))


@each
def test_files_of_a_whole_model_are_loaded_into_shards(outcome: Outcome, name: str) -> None:
    assert all(found[name]["from whole"] for found in outcome.two)


@each
def test_files_are_safetensors(outcome: Outcome, name: str) -> None:
    """A length, then JSON: no pickle, no zip."""
    files = sorted((outcome.folder / name / "sharded").iterdir())
    assert [file.name for file in files] == [f"shard-0000{i}-model-00001-of-00001.safetensors" for i in (1, 2)]
    for file in files:
        content = file.read_bytes()
        length = int.from_bytes(content[:8], "little")
        header = json.loads(content[8 : 8 + length])
        ends = [entry["data_offsets"][1] for key, entry in header.items() if key != "__metadata__"]
        assert 8 + length + max(ends) == len(content)
        assert load_file(file)


@each
def test_it_is_exported_as_a_whole_model_is(outcome: Outcome, name: str, tmp_path: Path, fabric: Fabric) -> None:
    assert all(found[name]["the other has none"] for found in outcome.two)
    training = Training(CASES[name], "alone", tmp_path, fabric, ALONE)
    final = load_file(outcome.folder / name / "final.safetensors")
    weights = tensors.weights(training.module)
    tensors.restore(training.module, training.optimizer, {key: final[key] for key in weights}, {})
    export(training.module.model, make_tokenizer(), tmp_path / "export")
    ours, theirs = outcome.folder / name / "export", tmp_path / "export"
    assert weights_sha256(ours) == weights_sha256(theirs)
    assert (ours / "config.json").read_text() == (theirs / "config.json").read_text()  # which names the class
    if CASES[name].adapter:
        assert weights_sha256(ours / "adapter") == weights_sha256(theirs / "adapter")


def test_when_one_cannot_write_all_hear_of_it(outcome: Outcome) -> None:
    for found in outcome.two:
        assert found["full"]["failure"].startswith("process 1 says [Errno 21] Is a directory: ")


def test_what_is_missing_or_misshapen_is_not_loaded(outcome: Outcome) -> None:
    folder = outcome.folder / "full" / "sharded"
    with pytest.raises(CheckpointException, match="Missing key"):
        shards.load(folder, {"elsewhere": torch.zeros(3)})
    with pytest.raises(CheckpointException, match="Size mismatch"):
        shards.load(folder, {"model.transformer.wte.weight": torch.zeros(3)})
