"""Processes that die without writing the end of their attempt: what is written from what they left, and from what
Slurm says."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from passingloop.attempts.ending import write_end, write_missing_end
from passingloop.files import write_json
from passingloop.launch.processes import Ending
from passingloop.rundir import failure, ledger
from passingloop.rundir.directory import RunDir
from passingloop.rundir.events import Cause, End, Seconds, Start
from passingloop.rundir.failure import Failure
from passingloop.slurm import accounting, control
from passingloop.slurm.accounting import RunPeriod


@pytest.fixture
def run(tmp_path: Path) -> RunDir:
    run = RunDir(tmp_path)
    run.logs.mkdir()
    return run


def ended(run: RunDir, ending: Ending, cause: Cause = "interrupted", *, out_of_memory: bool = False) -> End:
    write_end(run, 1, ending, cause, out_of_memory=out_of_memory, queued=0.0)
    [end] = ledger.read(run).events_of(End)
    return end


PULSE = {"attempt": 1, "step": 42, "saved_step": 40}
SECONDS = {"starting": 3.0, "training": 9.0, "saving": 1.0, "lost": 0.5}


def test_it_got_as_far_as_its_pulse_says(run: RunDir) -> None:
    write_json(run.pulse, {**PULSE, "seconds": SECONDS})
    end = ended(run, Ending(0, -9))
    assert (end.cause, end.end_step, end.message) == ("crash", 42, "killed by SIGKILL")
    assert end.seconds == Seconds(**SECONDS)


def test_the_pulse_of_an_earlier_attempt_says_nothing(run: RunDir) -> None:
    write_json(run.pulse, {**PULSE, "attempt": 7, "seconds": SECONDS})
    assert ended(run, Ending(0, -9)).end_step == 0


def test_the_first_failure_is_the_cause_of_the_others(run: RunDir) -> None:
    for rank, (when, why) in enumerate([("2026-02", "a peer is gone"), ("2026-01", "CUDA out of memory")]):
        failure.write(run, 1, rank, Failure(step=5, cause="oom", message=why, memory="device", tokens=8, time=when))
    failure.write(run, 2, 0, Failure(step=1, cause="crash", message="another attempt's", time="2026"))
    end = ended(run, Ending(0, 1))
    assert (end.cause, end.end_step, end.message) == ("oom", 5, "CUDA out of memory")
    assert (end.memory, end.tokens) == ("device", 8)


def test_who_fails_because_slurm_ends_the_others_was_preempted(run: RunDir) -> None:
    failure.write(run, 1, 0, Failure(step=5, cause="crash", message="a peer is gone"))
    end = ended(run, Ending(0, 1), "preempted")
    assert (end.cause, end.message) == ("preempted", "a peer is gone")


@pytest.mark.parametrize(
    ("code", "cause", "expected", "message"),
    [
        (130, "preempted", "preempted", None),
        (130, "interrupted", "interrupted", None),
        (137, "interrupted", "crash", "killed by SIGKILL"),  # as srun says it
        (-11, "interrupted", "crash", "killed by SIGSEGV"),
        (137, "node_fail", "node_fail", "killed by SIGKILL"),
        (3, "interrupted", "crash", "ended with exit code 3"),
        (130, "timeout", "timeout", None),
        (137, "timeout", "timeout", "killed by SIGKILL"),
        (-11, "timeout", "crash", "killed by SIGSEGV"),
        (3, "timeout", "crash", "ended with exit code 3"),
    ],
)
def test_how_it_ended(run: RunDir, code: int, cause: Cause, expected: Cause, message: str | None) -> None:
    end = ended(run, Ending(0, code), cause)
    assert (end.cause, end.message) == (expected, message)


def test_a_kill_while_the_kernel_lacked_memory_was_for_that(run: RunDir) -> None:
    end = ended(run, Ending(0, -9), out_of_memory=True)
    assert (end.cause, end.memory) == ("oom", "host")
    assert "killed by SIGKILL, as the machine's memory" in str(end.message)


# --- a whole job that was lost -------------------------------------------------------------------------------

BEGUN = 1_760_000_000.0
"""Of the attempt, in seconds since the epoch."""


@pytest.fixture
def started(run: RunDir) -> RunDir:
    """With an attempt that has no end."""
    time = "2025-10-09T08:53:20+00:00"
    plain: dict[str, Any] = {"attempt": 1, "launcher": "slurm", "job_id": "7", "processes": 1, "start_step": 0}
    ledger.append(run, Start(**plain, nodes=["n1"], code={}, submission="s", time=time))
    return run


def answered(monkeypatch: pytest.MonkeyPatch, stays: Sequence[RunPeriod], failed: list[str] | None) -> None:
    """What Slurm would say: both cannot be had for real where accounting is off, or scontrol missing."""
    monkeypatch.setattr(accounting, "run_periods", lambda _: stays)
    monkeypatch.setattr(control, "failed_nodes", lambda *_: failed)


def stay(state: str, started: float = BEGUN - 5) -> RunPeriod:
    return RunPeriod(state=state, started=started, ended=None)


@pytest.mark.parametrize(
    ("stays", "failed", "job_id", "cause", "named"),
    [
        ([stay("PREEMPTED")], [], "7", "preempted", []),
        ([stay("REQUEUED")], [], "7", "requeued", []),
        ([stay("NODE_FAIL")], ["n1"], "7", "node_fail", ["n1"]),
        ([stay("NODE_FAIL")], [], "7", "node_fail", ["n1"]),
        ([stay("PREEMPTED", BEGUN - 900), stay("NODE_FAIL")], [], "7", "node_fail", ["n1"]),
        ([stay("NODE_FAIL"), stay("RUNNING", BEGUN + 60)], [], "7", "node_fail", ["n1"]),
        ([stay("OUT_OF_MEMORY")], [], "8", "oom", []),
        ([stay("TIMEOUT")], [], "8", "timeout", []),
        ([stay("CANCELLED")], [], "8", "cancelled", []),
        ([stay("FAILED")], [], "8", "crash", []),
        ([], ["n1"], "7", "node_fail", ["n1"]),
        ([], [], "7", "preempted", []),
        ([], None, "7", "node_fail", ["n1"]),
        ([], None, "8", "crash", []),
    ],
)
def test_why_an_attempt_was_lost(
    started: RunDir,
    monkeypatch: pytest.MonkeyPatch,
    stays: Sequence[RunPeriod],
    failed: list[str] | None,
    job_id: str,
    cause: str,
    named: list[str],
) -> None:
    answered(monkeypatch, stays, failed)
    loss = write_missing_end(started, job_id)
    assert loss is not None
    assert (loss.cause, list(loss.failed)) == (cause, named)
    [end] = ledger.read(started).events_of(End)
    assert (end.cause, end.memory) == (cause, "host" if cause == "oom" else None)
    assert write_missing_end(started, job_id) is None
