"""Whether the kernel has killed a process because memory ran out."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from passingloop.attempts import oom
from passingloop.attempts.oom import OomWatch
from passingloop.launch.processes import Children, Ending, Process
from tests.narrow import narrow  # noqa: F401  # a fixture

GREEDY = "import sys, os; open(sys.argv[1], 'w').write(str(os.getpid())); bytearray(300 << 20)"


def test_what_the_kernel_kills_for_want_of_memory(tmp_path: Path, narrow: Path) -> None:  # noqa: F811
    lock = os.open(tmp_path, os.O_RDONLY)
    watch = OomWatch()
    with Children(lock) as children:
        children.start([Process(command=[sys.executable, "-c", GREEDY, str(narrow)], environment=os.environ)])
        ending = children.wait(watch.sample)
    os.close(lock)
    assert ending == Ending(0, -9)
    assert watch.has_killed()


def test_a_kill_by_hand_is_none_for_want_of_memory() -> None:
    watch = OomWatch()
    process = subprocess.Popen(["sleep", "60"])
    process.kill()
    process.wait()
    assert not watch.has_killed()


def test_what_was_killed_long_before_does_not_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    vmstat = tmp_path / "vmstat"
    monkeypatch.setattr(oom, "VMSTAT", vmstat)
    monkeypatch.setattr(oom, "WINDOW", 0.0)
    vmstat.write_text("oom_kill 3\n")
    watch = OomWatch()
    vmstat.write_text("oom_kill 4\n")
    assert watch.has_killed()
    watch.sample()
    watch.sample()
    assert not watch.has_killed()
