"""What counts as use, seen on processes that are there."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from passingloop.interactive.activity import Look, Observer, job_processes, terminal_of, uses
from tests.tools.nvml_stand_in import NvmlStandIn

JOB = "4711"


def look(**changes: Any) -> Look:
    values: dict[str, Any] = {"at": 100.0, "cpu": 5.0, "typed": {"/dev/pts/1": 50.0}, "gpu": 0, "noted": (1,)}
    return Look(**values | changes)


@pytest.mark.parametrize(
    ("changes", "used"),
    [
        ({}, []),
        ({"cpu": 5.7}, []),
        ({"cpu": 5.8}, ["CPU"]),
        ({"cpu": 4.0}, []),  # a process has ended
        ({"gpu": 2}, []),
        ({"gpu": 3}, ["GPU"]),
        ({"typed": {"/dev/pts/1": 51.0}}, ["keyboard"]),
        ({"typed": {"/dev/pts/1": 3.0}}, ["keyboard"]),  # the clock was put back
        ({"typed": {"/dev/pts/1": 50.0, "/dev/pts/2": 9.0}}, ["keyboard"]),
        ({"typed": {}}, []),  # a terminal was closed
        ({"noted": (2,)}, ["notebook"]),
        ({"cpu": 9.0, "gpu": 90}, ["GPU", "CPU"]),
    ],
)
def test_what_was_in_use_within_15_seconds(changes: dict[str, Any], used: list[str]) -> None:
    assert uses(look(), look(**{"at": 115.0} | changes)) == used


@pytest.fixture
def shell() -> Iterator[subprocess.Popen[bytes]]:
    """A process of the job with a terminal, which starts a child that has lost the job's variables."""
    controller, terminal = pty.openpty()
    program = (
        "import fcntl, subprocess, sys, termios\n"
        "fcntl.ioctl(0, termios.TIOCSCTTY, 0)\n"
        "subprocess.run([sys.executable, '-c', sys.argv[1]], env={})"
    )
    child = "while input() != 'work': pass\nwhile True: pass"
    process = subprocess.Popen(
        [sys.executable, "-c", program, child],
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
        env=os.environ | {"SLURM_JOB_ID": JOB},
        start_new_session=True,
    )
    os.close(terminal)
    process.type = lambda words: os.write(controller, words)  # type: ignore[attr-defined]
    yield process
    os.killpg(process.pid, 9)
    process.wait()
    os.close(controller)


def until(happened: Any) -> None:
    deadline = time.monotonic() + 60
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_the_processes_of_a_job_and_what_they_do(shell: Any) -> None:
    observer = Observer(JOB, ())
    until(lambda: len(job_processes(JOB)) == 2)
    [terminal] = observer.terminals()
    assert terminal == str(Path(f"/proc/{shell.pid}/fd/0").readlink())
    before = observer.look()
    assert list(before.typed) == [terminal]
    time.sleep(8.1)  # Linux tells the time of a terminal in units of 8 s, so that nobody learns a password's rhythm
    shell.type(b"x\n")
    until(lambda: "keyboard" in uses(before, observer.look()))
    before = observer.look()
    shell.type(b"work\n")
    until(lambda: uses(before, observer.look()) == ["CPU"])


def test_the_processes_of_other_jobs_are_not_counted(shell: Any) -> None:
    until(lambda: len(job_processes(JOB)) == 2)
    assert job_processes(JOB[:-1]) == {}
    assert Observer("47", ()).terminals() == set()


@pytest.mark.parametrize(
    ("names", "percent"), [(["0", "1"], 97), (["0"], 2), (["2"], None), (["MIG-30000000-stand-in"], 41)]
)
def test_the_busiest_gpu_of_the_job_counts(nvml: NvmlStandIn, names: list[str], percent: int | None) -> None:
    """The library that is asked stands in for the driver's. A GPU that does not tell is no use."""
    nvml.add_gpu(busy=2)
    nvml.add_gpu(busy=97, gpm=0)
    nvml.add_gpu(mig=1)
    nvml.add_part(2, 5, busy=41)
    nvml.state.units[3].kind *= names[0] != "2"
    observer = Observer(JOB, names)
    assert [observer.look().gpu for _ in range(2)] == [percent] * 2


@pytest.mark.parametrize(
    ("device", "terminal"),
    [
        (os.makedev(136, 3), "/dev/pts/3"),
        (os.makedev(137, 0), "/dev/pts/256"),
        (os.makedev(4, 1), None),
        (0, None),
    ],
)
def test_the_name_of_a_terminal(device: int, terminal: str | None) -> None:
    assert terminal_of(device) == terminal
