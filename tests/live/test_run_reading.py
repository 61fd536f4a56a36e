"""What is read of run directories, and what is not read again."""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from passingloop.cli.cluster.top import known_end
from passingloop.index.catalogue import catalogue
from passingloop.live import run_reading
from passingloop.live.drawing import OF_LATE
from passingloop.live.run_reading import BUCKET, SEARCH_SECONDS, RunReader
from passingloop.live.run_row import Ended
from passingloop.rundir import ledger
from passingloop.rundir.directory import RunDir
from passingloop.rundir.events import Cancel, Queued, Seconds
from passingloop.rundir.samples import Device, GpuSample, NodeSamples, Sample, SamplesFile
from passingloop.slurm.polling.polled_queue import Snapshot
from passingloop.status.rest import Rest
from passingloop.status.state import State
from passingloop.vitals import pulse
from passingloop.vitals.pulse import Pulse
from tests.live.shown import NOW, Made
from tests.status.test_state import job

NO_JOBS = Snapshot(asked=0.0, jobs={})


@pytest.fixture
def runs(tmp_path: Path) -> Made:
    return Made(tmp_path)


def metrics(run: RunDir, *rows: dict[str, Any]) -> None:
    usual = {"time": "2026-11-29T10:00:00Z", "attempt": 1, "split": "train"}
    with run.metrics.open("a") as file:
        file.writelines(json.dumps(usual | row) + "\n" for row in rows)


def training(run: RunDir) -> State:
    """The state of a run as it is while it trains."""
    return State(run=run, kind="running", attempt=1, step=100, attempt_start=time.time(), launcher="slurm")


def reader(*runs: RunDir) -> RunReader:
    found = RunReader(lambda: dict.fromkeys(runs))
    found.states(NO_JOBS, 0.0)
    return found


def test_progress_and_pace_come_from_the_pulse(runs: Made) -> None:
    run = runs.started(runs.new(steps=1000))
    metrics(run, {"step": 250, "loss": 0.5}, {"step": 250, "split": "validation", "loss": 0.4, "accuracy": 0.75})
    pulse.write(run, Pulse(attempt=1, step=300, saved_step=200, seconds=Seconds(starting=30, training=36, saving=4)))
    progress = reader(run).progress(training(run))
    assert (progress.step, progress.steps, progress.saved_step, progress.loss) == (300, 1000, 200, 0.5)
    assert progress.pace == (300 - 100) / 40
    assert progress.metric == ("accuracy", 0.75)
    assert progress.newest == run.pulse.stat().st_mtime


def test_the_steps_of_epochs_follow_from_the_metrics(runs: Made) -> None:
    run = runs.started(runs.new(epochs=3))
    found = reader(run)
    assert found.progress(training(run)).steps is None
    metrics(run, {"step": 120, "loss": 0.5, "epoch": 0.6})
    assert found.progress(training(run)).steps == 600


def test_a_pulse_of_another_attempt_is_none_of_this_one(runs: Made) -> None:
    run = runs.started(runs.new(steps=1000))
    pulse.write(run, Pulse(attempt=7, step=300, saved_step=200, seconds=Seconds(training=40)))
    progress = reader(run).progress(training(run))
    assert (progress.step, progress.pace, progress.newest) == (100, None, None)


def test_ended_runs_and_runs_that_never_began(runs: Made) -> None:
    done, waiting = runs.completed("seed1"), runs.new(signature="seed2")
    found = RunReader(lambda: dict.fromkeys([done, waiting]))
    first, second = found.states(NO_JOBS, 0.0)
    assert (first.kind, second.kind) == ("completed", "missing")
    progress = found.progress(first)
    assert (progress.step, progress.steps, progress.metric) == (40, 40, ("accuracy", 0.91239))
    assert found.progress(second).step is None
    assert found.curves(first).loss.values == ()


@pytest.mark.parametrize("name", ["run.json", "metrics.jsonl", "pulse.json", "result.json"])
@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"[1]", b'{"steps": "x"}', b'"word"'])
def test_a_damaged_directory_hides_no_other(runs: Made, name: str, content: bytes) -> None:
    broken, whole = runs.started(runs.new(signature="seed1")), runs.completed("seed2")
    (broken.path / name).write_bytes(content)
    found = RunReader(lambda: dict.fromkeys([broken, whole]))
    states = found.states(NO_JOBS, 0.0)
    for state in states:
        found.progress(state)
        found.curves(state)
    found.progress(training(broken))
    found.curves(training(broken))
    assert states[1].kind == "completed"


def test_the_loss_moves_by_whole_steps(runs: Made) -> None:
    run = runs.started(runs.new())
    metrics(run, *({"step": 10 * number, "loss": float(number)} for number in range(1, 6)))
    metrics(run, {"step": 60, "loss": "NaN"}, {"step": 70})
    series = reader(run).curves(training(run)).loss
    assert series.values[:5] == (1.0, 2.0, 3.0, 4.0, 5.0)
    assert math.isnan(series.values[5] or 0.0)
    assert (series.values[6], series.first) == (None, 1)


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "time", lambda: NOW + BUCKET / 2)


def samples(
    run: RunDir,
    node: str,
    gpus: Sequence[Sequence[float | None]],
    cpus: float | None = None,
    seconds: float = BUCKET,
    age: int = 0,
) -> None:
    """Samples of a node, one in each of the last values of a curve, or, with a negative `age`, before those."""
    run.samples.mkdir(exist_ok=True)
    devices = tuple(Device(name="H200", uuid=f"GPU-{number}") for number in range(len(gpus[0])))
    header = NodeSamples(attempt=1, node=node, devices=devices, cpus=8)
    with SamplesFile(run.samples / f"attempt-0001-{node}.jsonl", header) as file:
        for number, shares in enumerate(gpus):
            busy = tuple(GpuSample(busy=share) for share in shares)
            then = (NOW // BUCKET + 1 - len(gpus) + number) * BUCKET + age * BUCKET
            file.append(Sample(time=then, seconds=seconds, gpus=busy, cpus=cpus).to_row())


def test_the_use_of_gpus_is_the_mean_of_all_nodes_and_absent_is_absent(runs: Made, now: None) -> None:
    run = runs.started(runs.new())
    samples(run, "n1", [(1.0, 0.5), (None, None), (0.5, None)])
    samples(run, "n2", [(0.0,), (None,), (0.25,)])
    curves = reader(run).curves(training(run))
    assert [None if value is None else round(value, 3) for value in curves.busy.values] == [0.5, None, 0.375]
    assert (curves.device, curves.busy.newest) == ("GPU", 0.375)


def test_without_a_gpu_it_is_the_use_of_cpus(runs: Made, now: None) -> None:
    run = runs.started(runs.new())
    samples(run, "n1", [(), ()], cpus=2.0)
    curves = reader(run).curves(training(run))
    assert (curves.busy.values, curves.device) == ((0.25, 0.25), "CPU")


def test_a_sampler_that_has_ended_leaves_a_gap_and_no_figure(runs: Made, now: None) -> None:
    run = runs.started(runs.new())
    samples(run, "n1", [(0.5,), (0.75,)], age=-OF_LATE)
    curves = reader(run).curves(training(run))
    assert curves.busy.values == (0.5, 0.75, *[None] * OF_LATE)
    assert curves.busy.newest is None


def test_samples_that_are_far_apart_leave_no_gaps(runs: Made, now: None) -> None:
    run = runs.started(runs.new())
    samples(run, "n1", [(0.5,)], seconds=2.0 * BUCKET)
    samples(run, "n2", [(0.25,)], seconds=1.0)
    assert reader(run).curves(training(run)).busy.values == (0.5, 0.375)


def test_runs_that_have_ended_are_left_alone(runs: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a thousand runs most have; a live view may not read them every two seconds."""
    ended = [runs.completed(f"seed{seed}") for seed in range(3)]
    found, read = RunReader(lambda: dict.fromkeys(ended)), []

    def states_by(runs: Sequence[RunDir], snapshot: Snapshot) -> list[State]:
        read.extend(runs)
        return [State(run=run, kind="completed") for run in runs]

    monkeypatch.setattr(run_reading, "states_by", states_by)
    for now in (0.0, 2.0, SEARCH_SECONDS + 1):
        found.states(Snapshot(asked=now, jobs={}), now)
    assert read == ended
    ledger.append(ended[1], Cancel())
    found.states(NO_JOBS, SEARCH_SECONDS + 3)
    assert read == ended, "not yet"
    found.states(NO_JOBS, 2 * SEARCH_SECONDS + 2)
    assert read == [*ended, ended[1]]
    found.states(NO_JOBS, 2 * SEARCH_SECONDS + 3, all_anew=True)
    assert len(read) == 7


def test_what_is_known_of_runs_that_have_ended_is_not_read(runs: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 20,000 runs most have, and the index knows them."""
    ended = [runs.completed(f"seed{seed}") for seed in range(2)]
    known: dict[RunDir, Ended | None] = {entry.run: known_end(entry) for entry in catalogue(runs.root)}
    found, read = RunReader(lambda: known), []
    expected = {run: reader(run).progress(State(run=run, kind="completed")) for run in ended}
    with monkeypatch.context() as patch:
        patch.setattr(run_reading, "states_by", lambda runs, snapshot: read.extend(runs) or [])
        patch.setattr(RunDir, "read_result", read.append)
        states = found.states(NO_JOBS, 0.0)
        assert [state.kind for state in states] == ["completed", "completed"]
        assert {state.run: found.progress(state) for state in states} == expected
    assert read == []
    known[ended[0]] = None  # its directory has changed
    ended[0].result.unlink()
    ledger.append(ended[0], Cancel())
    assert [state.kind for state in found.states(NO_JOBS, SEARCH_SECONDS)] != ["completed", "completed"]


def test_a_run_that_had_ended_is_read_if_slurm_has_its_job(runs: Made) -> None:
    """Somebody has requeued it."""
    run = runs.new()
    ledger.append(run, Queued(submission="first", job_id="12"))
    cancelled = State(run=run, kind="cancelled")
    ended = Ended(rest=Rest(state=cancelled, job_id="12", newest=1.0), progress=None)
    found = RunReader(lambda: {run: ended})
    assert found.states(Snapshot(asked=2.0, jobs={}), 0.0) == [cancelled]
    requeued = Snapshot(asked=time.time() + 1, jobs={"12": job(job_id="12", state="PENDING")})
    assert [state.kind for state in found.states(requeued, SEARCH_SECONDS)] == ["pending"]


def test_active_runs_are_read_when_slurm_or_their_ledger_says_something_new(
    runs: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = runs.new()
    ledger.append(run, Queued(submission="s", job_id="12"))
    found, read = RunReader(lambda: dict.fromkeys([run])), []

    def states_by(runs: Sequence[RunDir], snapshot: Snapshot) -> list[State]:
        read.extend(runs)
        return [State(run=run, kind="pending", launcher="slurm") for run in runs]

    monkeypatch.setattr(run_reading, "states_by", states_by)
    found.states(NO_JOBS, 0.0)
    found.states(NO_JOBS, 1.0)
    assert len(read) == 1
    found.states(Snapshot(asked=1.0, jobs={}), 2.0)
    assert len(read) == 2
    ledger.append(run, Cancel())
    found.states(NO_JOBS, 3.0)
    assert len(read) == 3


def test_a_run_in_a_shell_is_looked_at_every_time_as_it_may_be_killed(runs: Made) -> None:
    run = runs.started(runs.new())
    found = RunReader(lambda: dict.fromkeys([run]))
    [state] = found.states(NO_JOBS, 0.0)
    assert state.kind == "lost"


def test_new_runs_are_found_and_those_that_are_gone_forgotten(runs: Made) -> None:
    present = [runs.completed("seed1")]
    found = RunReader(lambda: dict.fromkeys(present))
    assert len(found.states(NO_JOBS, 0.0)) == 1
    present[:] = [runs.completed("seed2"), runs.completed("seed3")]
    assert len(found.states(NO_JOBS, 1.0)) == 1
    assert [state.run for state in found.states(NO_JOBS, SEARCH_SECONDS)] == present


def test_files_are_not_read_again_unless_they_have_changed(runs: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    run = runs.started(runs.new())
    metrics(run, {"step": 10, "loss": 1.0})
    found = reader(run)
    assert found.progress(training(run)).loss == 1.0
    assert found.curves(training(run)).loss.values == (1.0,)
    read: list[Path] = []
    monkeypatch.setattr(run_reading, "recent_metrics", lambda path: read.append(path) or [])
    found.progress(training(run))
    found.curves(training(run))
    assert read == []
    os.utime(run.metrics, (1, 1))
    found.progress(training(run))
    found.curves(training(run))
    assert read == [run.metrics] * 2
