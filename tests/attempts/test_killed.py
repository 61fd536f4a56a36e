"""Processes that die without a word: how their end is told, from what they left and from what the kernel says."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from passingloop.attempts import oom
from passingloop.attempts.ending import close
from passingloop.attempts.oom import OomWatch
from passingloop.files import write_json
from passingloop.launch.processes import Children, Ending, Process
from passingloop.rundir import failure, ledger
from passingloop.rundir.failure import Failure
from passingloop.rundir.layout import RunDir
from passingloop.rundir.ledger import Cause, End, Seconds
from tests.narrow import narrow  # noqa: F401  # a fixture

GREEDY = "import sys, os; open(sys.argv[1], 'w').write(str(os.getpid())); bytearray(300 << 20)"


@pytest.fixture
def run(tmp_path: Path) -> RunDir:
    run = RunDir(tmp_path)
    run.logs.mkdir()
    return run


def ended(run: RunDir, ending: Ending, cause: Cause = "interrupted", *, out_of_memory: bool = False) -> End:
    close(run, 1, ending, cause, out_of_memory=out_of_memory, queued=0.0)
    [end] = ledger.read(run).of(End)
    return end


def test_what_the_kernel_kills_for_want_of_memory(run: RunDir, narrow: Path) -> None:  # noqa: F811
    lock = os.open(run.path, os.O_RDONLY)
    watch = OomWatch()
    with Children(lock) as children:
        children.start([Process(command=[sys.executable, "-c", GREEDY, str(narrow)], environment=os.environ)])
        ending = children.wait(watch.look)
    os.close(lock)
    assert ending == Ending(0, -9)
    end = ended(run, ending, out_of_memory=watch.struck())
    assert (end.cause, end.memory) == ("oom", "host")
    assert "killed by SIGKILL, as the machine's memory" in end.message


def test_a_kill_by_hand_is_none_for_want_of_memory() -> None:
    watch = OomWatch()
    process = subprocess.Popen(["sleep", "60"])
    process.kill()
    process.wait()
    assert not watch.struck()


def test_what_was_killed_long_before_does_not_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    vmstat = tmp_path / "vmstat"
    monkeypatch.setattr(oom, "VMSTAT", vmstat)
    monkeypatch.setattr(oom, "WINDOW", 0.0)
    vmstat.write_text("oom_kill 3\n")
    watch = OomWatch()
    vmstat.write_text("oom_kill 4\n")
    assert watch.struck()
    watch.look()
    watch.look()
    assert not watch.struck()


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
    ],
)
def test_how_it_ended(run: RunDir, code: int, cause: Cause, expected: Cause, message: str | None) -> None:
    end = ended(run, Ending(0, code), cause)
    assert (end.cause, end.message) == (expected, message)
