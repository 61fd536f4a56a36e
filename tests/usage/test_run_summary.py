from __future__ import annotations

from pathlib import Path

import pytest

from passingloop.rundir.directory import RunDir
from passingloop.usage.run_summary import run_summary
from tests.usage.told import NOON, Told


def test_figures_and_advice_of_a_run_by_flat_names(told: Told) -> None:
    run = told.runs.new("name=a")
    told.queued(run, -3590, "12")
    told.start(run, 10, "12")
    told.end(run, 3610, "preempted", queued=3600, starting=400, training=3000, saving=0, lost=1500)
    told.decided(run, 3611, "requeue")
    told.start(run, 3910, "12")
    told.end(run, 7510, "completed", queued=200, starting=600, training=3000, saving=0)
    run.result.write_text('{"metrics": {"test/accuracy": 0.9}}')
    found = run_summary(run, NOON + 10_000)
    assert found["test/accuracy"] == 0.9
    assert found["report/attempts"] == 2
    assert found["report/gpu_hours"] == pytest.approx(2.0)
    assert found["report/goodput"] == pytest.approx(4500 / 7200, abs=0.01)
    assert (found["report/requeues"], found["report/requeues_preempted"]) == (1, 1)
    assert "report/gpu_busy" not in found  # nothing was sampled
    rules = str(found["advice_rules"]).split(", ")
    assert "lost_training" in rules
    assert len(str(found["advice"]).split("\n")) == len(rules)


def test_a_folder_without_events_has_no_summary(tmp_path: Path) -> None:
    (tmp_path / "attempts.jsonl").touch()
    assert run_summary(RunDir(tmp_path), NOON) == {}
