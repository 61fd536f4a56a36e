"""Processes that stop going forward are found, whatever holds them, and killed: real ones, which only pass marks."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import pytest

from passingloop.attempts.hang_watch import HangWatch
from passingloop.launch.processes import Children, Process
from passingloop.rundir.directory import RunDir
from passingloop.vitals.standstill import Standstill

pytestmark = pytest.mark.process

RANK = """
import ctypes, os, signal, sys, time
from pathlib import Path
from passingloop.rundir.directory import RunDir
from passingloop.vitals.beat_thread import BeatThread
from passingloop.vitals.marks import MARKS
rank, how = int(sys.argv[2]), sys.argv[3]
for number in (signal.SIGTERM, signal.SIGINT):
    signal.signal(number, signal.SIG_IGN)
BeatThread(RunDir(Path(sys.argv[1])), 1, rank, 2.0, MARKS).start()

def come_to_a_halt():
    if how == "holds the lock":
        ctypes.PyDLL(None).pause()
    if how == "is stopped":
        os.kill(os.getpid(), signal.SIGSTOP)
    while True:
        time.sleep(0.1)
        if how == "goes forward":
            MARKS.sign()
        if how == "works":
            sum(range(300000))

evidence = "work" if how == "works" else "marks"
for step in range(1, 4):
    MARKS.enter("in the forward pass", evidence, step)
    time.sleep(0.1)
if rank == 0 or how == "goes forward":
    MARKS.enter("in the backward pass", evidence)
come_to_a_halt()
"""


def watched(run: RunDir, *hows: str, seconds: float = 60) -> Standstill | None:
    """How processes stood that were found to be hung; None if they were not, for so many `seconds`."""
    run.logs.mkdir()
    found: list[Standstill] = []
    lock = os.open(run.path, os.O_RDONLY)
    with Children(lock) as children:

        def end(standstill: Standstill) -> None:
            found.append(standstill)
            children.kill()

        watch = HangWatch(run, 1, len(hows), 2.0 / 60, end)
        command = [sys.executable, "-c", RANK, str(run.path)]
        children.start(
            [Process(command=[*command, str(rank), how], environment=os.environ) for rank, how in enumerate(hows)]
        )
        ticks = iter(range(int(seconds / 0.02)))

        def give_up() -> None:
            if next(ticks, None) is None:
                children.kill()

        ending = children.wait(watch.sample, give_up)
    assert ending.code == -signal.SIGKILL
    watch.close()
    os.close(lock)
    assert list(run.logs.glob("*.beat")) == []
    return found[0] if found else None


def stacks(run: RunDir, rank: int) -> str:
    return run.log(1, rank).read_text()


def test_one_that_waits_is_told_from_one_that_waits_for_it(tmp_path: Path) -> None:
    run = RunDir(tmp_path)
    standstill = watched(run, "waits", "waits")
    assert standstill
    assert standstill.rank == 1
    assert "rank 1 on" in standstill.sentence
    assert "stands at step 3, in the forward pass; rank 0 stood at step 3, in the backward" in standstill.sentence
    for rank in (0, 1):
        assert f"The stacks of process {rank} on" in stacks(run, rank)
        assert " in come_to_a_halt" in stacks(run, rank)


def test_one_that_holds_the_lock_writes_its_stacks_all_the_same(tmp_path: Path) -> None:
    run = RunDir(tmp_path)
    standstill = watched(run, "waits", "holds the lock")
    assert standstill
    assert (standstill.rank, standstill.silent) == (1, [1])
    assert "runs no Python any more" in standstill.sentence
    assert stacks(run, 1).startswith("Timeout (0:00:02)!")
    assert " in come_to_a_halt" in stacks(run, 1)
    assert "The stacks of process 0" in stacks(run, 0)


def test_one_that_is_stopped_is_named(tmp_path: Path) -> None:
    run = RunDir(tmp_path)
    standstill = watched(run, "is stopped", "waits")
    assert standstill
    assert standstill.rank == 0
    assert "it is stopped (SIGSTOP)" in standstill.sentence
    assert "The stacks of process 1" in stacks(run, 1)


@pytest.mark.parametrize("how", ["goes forward", "works"])
def test_while_one_of_them_goes_forward_none_is_hung(tmp_path: Path, how: str) -> None:
    run = RunDir(tmp_path)
    assert watched(run, "waits", how, seconds=6) is None
    assert "stacks" not in stacks(run, 0)
