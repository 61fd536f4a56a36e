"""The process that samples a node: what it records, and that it ends with its parent and never before.

The driver's library is a stand-in: tests/tools/nvml_stand_in.py.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from passingloop.rundir.directory import RunDir
from passingloop.rundir.samples import NodeSamples, read_samples
from passingloop.rundir.usage import read_usage
from passingloop.sampling import sampler as sampler_module
from passingloop.sampling.sampler import Sampler
from tests.conftest import Disk
from tests.tools.nvml_stand_in import GPU_IS_LOST, NvmlStandIn

PARENT = """
import os, sys, time
from pathlib import Path
from passingloop.rundir.directory import RunDir
from passingloop.sampling.sampler import start_sampler
sampler = start_sampler(RunDir(Path(sys.argv[1])), 3, float(sys.argv[2]))
if "fork" in sys.argv and os.fork() == 0:
    time.sleep(60)  # holds the pipe
    os._exit(0)
print(sampler.pid, flush=True)
sys.stdin.read()
"""
DAY = 86_400.0


class Parent:
    """A process that has started a sampler, as a training process does."""

    def __init__(self, run: RunDir, period: float, environ: Mapping[str, str], *words: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", PARENT, str(run.path), str(period), *words],
            env=os.environ | {"CUDA_VISIBLE_DEVICES": ""} | environ,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        assert self.process.stdout
        self.sampler = int(self.process.stdout.readline())

    def end(self) -> None:
        assert self.process.stdin
        self.process.stdin.close()
        self.process.wait(timeout=30)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Parent]]:
    parents: list[Parent] = []

    def start(run: RunDir, period: float, *words: str, environ: Mapping[str, str] | None = None) -> Parent:
        parents.append(Parent(run, period, environ or {}, *words))
        return parents[-1]

    yield start
    for parent in parents:
        for kill, number in ((os.killpg, parent.process.pid), (os.kill, parent.sampler)):
            with contextlib.suppress(ProcessLookupError):
                kill(number, signal.SIGKILL)
        with parent.process:
            pass


def wait_until(is_so: Callable[[], object]) -> None:
    while not is_so():
        time.sleep(0.02)


def has_ended(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def one(run: RunDir) -> NodeSamples | None:
    """What the node's file has, once a sample is in it."""
    return next((node for node in read_samples(run) if node.samples), None)


def test_a_process_records_until_its_parent_ends(
    nvml: NvmlStandIn, tmp_path: Path, start: Callable[..., Parent]
) -> None:
    """It takes no notice of what the training processes are told."""
    run, gpu = RunDir(tmp_path), nvml.add_gpu(busy=75)
    nvml.add_gpu(busy=1)
    environ = {**nvml.environment, "CUDA_VISIBLE_DEVICES": "0", "SLURMD_NODENAME": "gpu-7"}
    parent = start(run, 0.3, environ=environ)
    wait_until(lambda: one(run))
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2, signal.SIGHUP):
        os.kill(parent.sampler, number)
    gpu.error = GPU_IS_LOST
    wait_until(lambda: len(read_samples(run)[0].samples) > 1)
    parent.end()
    wait_until(lambda: has_ended(parent.sampler))
    found = one(run)
    assert found
    assert (found.attempt, found.node, [device.uuid for device in found.devices]) == (
        3,
        "gpu-7",
        ["GPU-00000000-stand-in"],
    )
    assert [sample.gpus[0].busy for sample in found.samples][:2] == [0.75, None]
    assert all(sample.cpus is not None and sample.memory for sample in found.samples)
    assert '"totals"' in run.samples_of(3, "gpu-7").read_text().splitlines()[-1]
    usage = read_usage(run)
    assert usage
    assert (usage.busy, usage.gpu_memory_total) == (pytest.approx(0.75), found.devices[0].memory)


def test_it_ends_when_its_parent_is_killed_and_something_else_holds_the_pipe(
    tmp_path: Path, start: Callable[..., Parent]
) -> None:
    parent = start(RunDir(tmp_path), 0.2, "fork")
    wait_until(lambda: one(RunDir(tmp_path)))
    parent.process.kill()
    wait_until(lambda: has_ended(parent.sampler))


def test_where_nothing_can_be_written_it_ends_and_its_parent_does_not(
    tmp_path: Path, start: Callable[..., Parent]
) -> None:
    parent = start(RunDir(tmp_path / "is" / "gone"), 0.2)
    wait_until(lambda: has_ended(parent.sampler))
    assert parent.process.poll() is None


def test_a_full_disk_is_survived(disk: Disk, start: Callable[..., Parent]) -> None:
    run = RunDir(disk.folder)
    parent = start(run, 0.2)
    wait_until(run.samples.exists)
    disk.fill()
    time.sleep(0.5)
    disk.clear()
    wait_until(lambda: one(run))
    parent.end()


class Clock:
    """What time is said to be, and how much has passed."""

    def __init__(self) -> None:
        self.now, self.passed = 1_796_000_000.0, 100.0
        self.used, self.cost = 0.0, 0.001
        """CPU time until now, and what a sample takes."""

    def time(self) -> float:
        return self.now

    def monotonic(self) -> float:
        return self.passed

    def process_time(self) -> float:
        self.used += self.cost
        return self.used

    def pass_time(self, seconds: float) -> None:
        self.now, self.passed = self.now + seconds, self.passed + seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(sampler_module, "time", clock)
    return clock


@pytest.fixture
def make(
    nvml: NvmlStandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, clock: Clock
) -> Iterator[Callable[..., Sampler]]:
    """A sampler of this process, with `gpus` of the largest numbers that there are, whose time is `clock`'s."""

    def make(gpus: int, seconds: float = 5.0) -> Sampler:
        for _ in range(gpus):
            nvml.add_gpu(
                busy=100, sm=100, tensor=100, used=140 * 2**30, milliwatts=1_199_000, celsius=100, reasons=0xEC
            )
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", ",".join(map(str, range(gpus))))
        monkeypatch.setenv("SLURMD_NODENAME", "n1")
        return stack.enter_context(Sampler(RunDir(tmp_path), 1, seconds, os.getpid()))

    with contextlib.ExitStack() as stack:
        yield make


def test_a_clock_that_jumps_changes_the_times_and_nothing_else(
    make: Callable[..., Sampler], clock: Clock, tmp_path: Path
) -> None:
    sampler = make(1)
    for jump in (0.0, -3600.0, 86_400.0, 0.0):
        clock.pass_time(5.0)
        clock.now += jump
        sampler.sample()
    found = one(RunDir(tmp_path))
    assert found
    assert [sample.seconds for sample in found.samples] == [5.0] * 4
    assert [sample.time - 1_796_000_000 for sample in found.samples] == [5.0, -3590.0, 82_815.0, 82_820.0]


def test_time_in_which_the_job_was_suspended_is_not_counted(
    make: Callable[..., Sampler], clock: Clock, tmp_path: Path
) -> None:
    sampler = make(1)
    for passed in (5.0, 5000.0, 5.0):
        clock.pass_time(passed)
        sampler.sample()
    usage = read_usage(RunDir(tmp_path))
    assert usage
    assert usage.seconds == 20.0


def test_a_driver_that_takes_long_to_answer_is_asked_less_often(make: Callable[..., Sampler], clock: Clock) -> None:
    """No more than half a percent of a core is spent."""
    sampler = make(1)
    for cost, expected in ((0.001, 5.0), (0.1, 25.0), (0.001, 5.0)):
        clock.cost = cost
        sampler.sample()
        assert sampler._rest() == pytest.approx(expected)


@pytest.mark.parametrize(("gpus", "seconds"), [(0, 5.0), (1, 0.1), (2, 5.0), (8, 1.0)])
def test_a_day_takes_two_megabytes_at_most(
    make: Callable[..., Sampler], clock: Clock, tmp_path: Path, gpus: int, seconds: float
) -> None:
    """An hour is sampled, with totals and the longest numbers."""
    sampler, ends = make(gpus, seconds), clock.passed + DAY / 24
    while clock.passed < ends:
        clock.pass_time(sampler._rest() or 0.1)
        sampler.sample()
    size = RunDir(tmp_path).samples_of(1, "n1").stat().st_size
    assert size * 24 < 2_000_000
    found = one(RunDir(tmp_path))
    assert found
    assert max(sample.seconds for sample in found.samples) < 15.0
