from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from passingloop.config.build import to_plain
from passingloop.config.running import TrackingConfig
from passingloop.files import read_json, write_json
from passingloop.rundir import ledger, record
from passingloop.rundir.directory import RunDir
from passingloop.rundir.events import Queued, Request
from passingloop.rundir.record import PinnedValues
from passingloop.track.wandb_identity import AgentRun, agent_run, identity_of, keep_agent_run
from passingloop.track.wandb_upload import upload_run
from tests.cli.made import Runs
from tests.conftest import ROOT, Compose
from tests.track.conftest import Tracking, made_identity
from tests.track.wandb_stand_in import WandbServer

FINGERPRINT = {"train": {"a.csv": "1"}}


def submitted(compose: Compose, *overrides: str) -> tuple[RunDir, Any]:
    """A run with two attempts in a job, which was preempted in between."""
    runs = Runs(compose)
    run = runs.new(*overrides)
    request = Request(nodes=1, gpus=1, cluster="moon")
    ledger.append(run, Queued(submission="S1", job_id="12_3", request=request))
    runs.start(run, submission="S1", job_id="12_3", launcher="slurm")
    runs.start(run, submission="S1", job_id="12_3", launcher="slurm", code={"version": "2", "commit": "abc"})
    return run, compose(*overrides)


def test_a_run_is_filed_without_hand_work(compose: Compose) -> None:
    run, config = submitted(compose, "name=docs", "cluster.qos=production", "tracking.tags=[mine]")
    record.pin_values(run, PinnedValues("bf16", FINGERPRINT, None))
    found = identity_of(run, config)
    assert (found.run_id, found.name) == (run.path.name, f"docs-{run.path.name}")
    assert (found.group, found.job_type) == ("docs", "classification")
    assert found.tags[0] == "mine"
    assert {config.launcher.kind, "production"} <= set(found.tags)
    assert len(found.tags) == len(set(found.tags))
    assert found.config["slurm"] == {"cluster": "moon", "job_ids": ["12_3"], "submissions": ["S1"]}
    origin = found.config["passingloop"]
    assert (origin["version"], origin["commit"], origin["precision"]) == ("2", "abc", "bf16")
    assert len(origin["data_fingerprint"]) == 16
    assert origin["signature"] == record.read(run)["signature"]
    assert found.config["optim"] == to_plain(config)["optim"]


def test_the_same_data_have_the_same_word_and_others_another(compose: Compose) -> None:
    words = set()
    for name, content in (("a", FINGERPRINT), ("b", FINGERPRINT), ("c", {"train": {"a.csv": "2"}})):
        run, config = submitted(compose, f"name={name}")
        assert identity_of(run, config).config["passingloop"]["data_fingerprint"] is None
        record.pin_values(run, PinnedValues("fp32", content, None))
        words.add(identity_of(run, config).config["passingloop"]["data_fingerprint"])
    assert len(words) == 2


def test_a_rerun_is_a_run_of_its_own(compose: Compose) -> None:
    runs = Runs(compose)
    first, second = runs.new(), runs.new(number=2)
    assert identity_of(first, compose()).run_id != identity_of(second, compose()).run_id
    assert "." not in identity_of(second, compose()).run_id


Serve = Callable[..., WandbServer]

AGENT = {"WANDB_SWEEP_ID": "s1", "WANDB_RUN_ID": "r1", "WANDB_PROJECT": "p", "WANDB_ENTITY": "me"}


def test_only_what_an_agent_has_started_is_a_run_of_a_sweep(tmp_path: Path) -> None:
    for partial in ({}, AGENT | {"WANDB_RUN_ID": ""}, {"WANDB_RUN_ID": "mine", "WANDB_PROJECT": "p"}):
        keep_agent_run(tmp_path, partial)
        assert agent_run(tmp_path) is None
    keep_agent_run(tmp_path, AGENT)
    keep_agent_run(tmp_path, {})
    assert agent_run(tmp_path) == AgentRun(sweep="s1", run_id="r1", project="p", entity="me")
    assert AgentRun(sweep="s1", run_id="r1", project="", entity="").to_environment() == {
        "WANDB_SWEEP_ID": "s1",
        "WANDB_RUN_ID": "r1",
    }


@pytest.mark.process
@pytest.mark.usefixtures("key")
def test_later_attempts_and_uploads_stay_in_the_sweep(
    tracking: Tracking, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = serve()
    for name, value in AGENT.items():
        monkeypatch.setenv(name, value)
    elsewhere = tracking.folder.parent / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.setenv("WANDB_DIR", str(elsewhere))  # as the agent does
    first = tracking.must_open("wandb")
    first.log(10, "train", {"loss": 0.5})
    first.finish("preempted")
    for name in (*AGENT, "WANDB_DIR"):
        monkeypatch.delenv(name)
    second = tracking.must_open("wandb", attempt=2)
    second.log(20, "train", {"loss": 0.4})
    second.finish("completed")
    assert {run: [row["attempt"] for row in rows] for run, rows in server.history.items()} == {"r1": [1, 2]}
    assert server.sweep_of == {"r1": "s1"}
    assert list(elsewhere.iterdir()) == []

    server.history.clear()
    config = TrackingConfig(mode="wandb", project="p", entity=None, tags=())
    run = RunDir(tracking.folder)
    run.metrics.write_text('{"time":"2026-11-29T12:00:01+00:00","attempt":1,"step":1,"train":{"loss":1.0}}\n')
    upload_run(run, config, made_identity(), {})
    assert set(server.history) == {"r1"}


@pytest.mark.slow
@pytest.mark.process
@pytest.mark.usefixtures("key")
def test_an_agent_trains_the_points_of_the_example(work: Path, cache: Path, serve: Serve) -> None:
    server = serve()
    server.sweep = yaml.safe_load((ROOT / "examples" / "wandb-sweep.yaml").read_text())
    server.points = [{"optim.lr": 1e-5, "trainer.seed": 1}, {"optim.lr": 0.0003, "trainer.seed": 2}]
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    env = os.environ | {"PATH": path, "PASSINGLOOP_CACHE": str(cache), "HF_HUB_OFFLINE": "1"}
    env.pop("WANDB_MODE", None)
    done = subprocess.run(
        ["wandb", "agent", "me/p/s1"], cwd=work, env=env, capture_output=True, text=True, timeout=240, check=False
    )
    assert done.returncode == 0, done.stderr
    runs = [RunDir(folder) for folder in (work / "runs" / "wandb-sweep").iterdir()]
    assert sorted(agent_run(run.path).run_id for run in runs) == ["point0", "point1"]  # type: ignore[union-attr]
    assert server.sweep_of == {"point0": "s1", "point1": "s1"}
    for run in runs:
        kept = agent_run(run.path)
        assert kept
        [*_, last] = [row for row in server.history[kept.run_id] if "validation/accuracy" in row]
        assert last["trainer/global_step"] == 10
    assert server.exit_codes == [0, 0]


def test_the_run_of_an_agent_is_known_from_the_file_of_a_later_version(tmp_path: Path) -> None:
    keep_agent_run(tmp_path, AGENT)
    known = agent_run(tmp_path)
    file = tmp_path / "wandb" / "agent.json"
    write_json(file, read_json(file) | {"queue": "short"})
    assert agent_run(tmp_path) == known
