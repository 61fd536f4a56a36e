"""How the processes of an attempt end: by themselves, with one of them, or asked to."""

from __future__ import annotations

import os
import signal
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from passingloop.launch import processes
from passingloop.launch.processes import Children, Ending, Process

LATER = """
import os, time
while not (os.path.exists('pid') and os.path.getsize('pid')):
    time.sleep(0.01)
while os.path.exists('/proc/' + open('pid').read().strip()):
    time.sleep(0.01)
raise SystemExit(1)
"""
"""Fails once the launcher has seen how rank 1 ended."""


def running(programs: list[str]) -> list[Process]:
    """A process for each program."""
    return [
        Process(command=[sys.executable, "-c", f"import os\n{program}"], environment=os.environ) for program in programs
    ]


@pytest.mark.parametrize(
    ("programs", "ending"),
    [
        (["pass"], Ending(0, 0)),
        (["raise SystemExit(3)"], Ending(0, 3)),
        (["import os; os.kill(os.getpid(), 9)"], Ending(0, -9)),
        (["pass", "raise SystemExit(2)"], Ending(1, 2)),
        ([LATER, "print(os.getpid(), file=open('pid', 'w'), flush=True); os.kill(os.getpid(), 9)"], Ending(1, -9)),
    ],
)
@pytest.mark.usefixtures("work")
def test_the_first_that_fails_counts(tmp_path: Path, programs: list[str], ending: Ending) -> None:
    lock = os.open(tmp_path, os.O_RDONLY)
    with Children(lock) as started:
        started.start(running(programs))
        assert started.wait() == ending
    os.close(lock)


def test_a_process_that_waits_for_a_dead_one_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "PATIENCE", 0.2)
    lock = os.open(tmp_path, os.O_RDONLY)
    programs = ["import time; time.sleep(600)", "raise SystemExit(2)"]
    with Children(lock) as both:
        both.start(running(programs))
        assert both.wait() == Ending(1, 2)
    os.close(lock)


KILLED_AT = """
import signal
left = {}
def count(number, frame):
    global left
    left -= 1
    if not left: os.kill(os.getpid(), signal.SIGKILL)
for number in (signal.SIGTERM, signal.SIGINT):
    signal.signal(number, count)
open('ready', 'w').close()
signal.pthread_sigmask(signal.SIG_SETMASK, [])
while True: signal.pause()
"""
"""Dies of the signal with that number, as all of a step does where srun gets two SIGINT within a second."""


@pytest.mark.parametrize(("presses", "code"), [(1, -signal.SIGKILL), (2, 130)])
def test_after_a_second_ctrl_c_it_is_an_interruption(presses: int, code: int, work: Path) -> None:
    lock = os.open(work, os.O_RDONLY)

    def press() -> None:
        nonlocal presses
        if presses and (work / "ready").exists():
            presses -= 1
            os.kill(os.getpid(), signal.SIGINT)

    with Children(lock) as started:
        started.start(running([KILLED_AT.format(presses)]))
        assert started.wait(press) == Ending(0, code)
    os.close(lock)


def test_a_request_before_the_start_starts_nothing(tmp_path: Path) -> None:
    lock = os.open(tmp_path, os.O_RDONLY)
    before = signal.getsignal(signal.SIGTERM)
    with Children(lock) as started:
        os.kill(os.getpid(), signal.SIGTERM)
        assert not started.start([Process(command=[sys.executable], environment={}, log=tmp_path / "log")])
        assert started.wait() == Ending(0, 130)
    assert signal.getsignal(signal.SIGTERM) is before
    assert not (tmp_path / "log").exists()
    os.close(lock)


def test_what_does_not_unblock_signals_gets_them(tmp_path: Path) -> None:
    """Of such a program, srun 26.05, the request may come before it can take it: then it ends with that."""
    lock = os.open(tmp_path, os.O_RDONLY)
    sleep = Process(command=["sleep", "20"], environment=os.environ, stop=signal.SIGINT, unblocks_signals=False)
    with Children(lock) as started:
        assert started.start([sleep])
        os.kill(os.getpid(), signal.SIGTERM)
        assert started.wait() == Ending(0, 130)
    os.close(lock)


def test_a_request_while_they_are_started_reaches_them(tmp_path: Path) -> None:
    class Pressed(dict[str, str]):
        """The environment of a process. It is read while the process is being started: then Ctrl-C is pressed."""

        def items(self) -> Any:
            os.kill(os.getpid(), signal.SIGINT)
            return super().items()

    lock = os.open(tmp_path, os.O_RDONLY)
    sleep = Process(command=["sleep", "20"], environment=Pressed(os.environ), unblocks_signals=False)
    with Children(lock) as started:
        assert started.start([sleep])
        assert started.wait() == Ending(0, 130)
    os.close(lock)


SECOND = """
import os, signal, time
heard = []
signal.signal(signal.SIGUSR2, lambda *_: heard.append(1))
open('ready', 'w').close()
end = time.monotonic() + 20
while len(heard) < 2 and time.monotonic() < end: time.sleep(0.01)
os._exit(130 if len(heard) > 1 else 0)
"""


def test_a_request_that_was_lost_comes_again(work: Path) -> None:
    """As srun loses it, it is the second that this process obeys; the person has pressed Ctrl-C once."""
    lock, pressed = os.open(work, os.O_RDONLY), False

    def press() -> None:
        nonlocal pressed
        if not pressed and (work / "ready").exists():
            pressed = True
            os.kill(os.getpid(), signal.SIGINT)

    [second] = running([SECOND])
    with Children(lock) as started:
        started.start([replace(second, stop=signal.SIGUSR2, stop_again=0.05, unblocks_signals=False)])
        assert started.wait(press) == Ending(0, 130)
    os.close(lock)
