"""What processes use of CPUs, memory and storage where no control group of Slurm counts it: real ones, here."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from passingloop.sampling import host_meter
from passingloop.sampling.host_meter import HostMeter

PROGRAM = """
import os, subprocess, sys
for line in sys.stdin:
    match line.split():
        case ["work"]: sum(range(8_000_000))
        case ["grow"]: memory = bytearray(b"x") * 150_000_000
        case ["write", path]:
            with open(path, "wb") as file:
                file.write(bytes(20_000_000)); file.flush(); os.fsync(file.fileno())
        case ["start"]:
            child = subprocess.Popen([sys.executable, "-c", "sum(range(8_000_000)); print('ready'); input()"])
    print("done", flush=True)
"""


class Worker:
    """A process that does as it is told."""

    def __init__(self) -> None:
        command = [sys.executable, "-c", PROGRAM]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)
        self.tell("hello")

    def tell(self, what: str, answers: int = 1) -> None:
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.write(f"{what}\n")
        for _ in range(answers):
            assert self.process.stdout.readline()


@pytest.fixture
def worker() -> Iterator[Worker]:
    worker = Worker()
    yield worker
    worker.process.kill()
    worker.process.communicate()


@pytest.fixture
def meter(worker: Worker, tmp_path: Path) -> HostMeter:
    """Of our children, seen from outside of any group."""
    return HostMeter(os.getpid(), tmp_path)


def test_cpus_and_memory_of_the_processes(worker: Worker, meter: HostMeter) -> None:
    before = meter.sample()
    worker.tell("work")
    worker.tell("grow")
    after = meter.sample()
    assert before.memory
    assert after.memory
    assert after.cpus
    assert 140e6 < after.memory - before.memory < 200e6
    assert 0.05 < after.cpus < 2.0


def test_what_is_written_to_a_disk(worker: Worker, meter: HostMeter, tmp_path: Path) -> None:
    if subprocess.check_output(["stat", "-f", "-c", "%T", tmp_path], text=True).strip() == "tmpfs":
        pytest.skip("the folder for temporary files is in memory")
    assert meter.sample().written == 0.0
    worker.tell(f"write {tmp_path}/file")
    written = meter.sample().written
    assert written
    assert written > 1e6


def test_a_process_that_is_listed_late_counts_from_when_it_is_seen(
    worker: Worker, meter: HostMeter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that what it has used in the half minute before is not taken for the use of five seconds."""
    worker.tell("start", answers=2)
    meter.sample()
    monkeypatch.setattr(host_meter, "LISTING", 0.0)
    assert meter.sample().cpus == pytest.approx(0.0, abs=0.2)


def test_a_process_that_has_ended_takes_nothing_back(worker: Worker, meter: HostMeter) -> None:
    worker.tell("work")
    before = meter.sample().memory
    worker.process.kill()
    os.waitid(os.P_PID, worker.process.pid, os.WEXITED | os.WNOWAIT)  # it stays a zombie
    time.sleep(0.5)  # its end may take a hundredth of a second of CPU
    use = meter.sample()
    assert use.cpus == pytest.approx(0.0, abs=0.2)
    assert before
    assert (use.memory or 0) < before


def test_without_processes_nothing_is_known(tmp_path: Path) -> None:
    use = HostMeter(2**22 + 1, tmp_path).sample()
    assert (use.cpus, use.memory, use.read, use.written) == (None, None, None, None)


@pytest.mark.parametrize(
    ("environ", "cpus", "memory"),
    [
        ({"SLURM_CPUS_ON_NODE": "12", "SLURM_MEM_PER_NODE": "2048"}, 12, 2 * 2**30),
        ({"SLURM_CPUS_ON_NODE": "4", "SLURM_MEM_PER_CPU": "1024"}, 4, 4 * 2**30),
        ({}, len(os.sched_getaffinity(0)), os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")),
    ],
)
def test_what_may_be_used(environ: dict[str, str], cpus: int, memory: int, tmp_path: Path) -> None:
    meter = HostMeter(os.getpid(), tmp_path)
    assert (meter.cpus(environ), meter.memory_limit(environ)) == (cpus, memory)
