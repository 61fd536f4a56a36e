from __future__ import annotations

from typing import Any

from passingloop.config.build import to_plain
from passingloop.rundir import ledger, record
from passingloop.rundir.directory import RunDir
from passingloop.rundir.events import Queued, Request
from passingloop.rundir.record import PinnedValues
from passingloop.track.wandb_identity import identity_of
from tests.cli.made import Runs
from tests.conftest import Compose

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
