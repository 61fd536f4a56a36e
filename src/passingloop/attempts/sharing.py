"""How much of a GPU, or of a node without one, a run uses, and how many such runs fit on it side by side."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from passingloop.rundir.directory import RunDir
from passingloop.rundir.samples import GpuSample
from passingloop.sampling.gpu_meter import GpuMeter
from passingloop.sampling.nvml import gpu_names

ROOM = 0.9
"""The share of the memory that the members of a pack may use together."""

SAMPLES, PERIOD = 5, 1.0
"""Samples of a measurement, and the seconds between them."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Use:
    """What a run uses of what its job has."""

    memory: int
    """Megabytes at most, as `total`."""
    total: int
    busy: float
    """The share of the time in which the GPU computes; without a GPU, the share of the CPUs that is used."""
    gpu: bool

    def __str__(self) -> str:
        device = "the GPU" if self.gpu else "the CPUs"
        return f"{self.memory / 1024:.1f} of {self.total / 1024:.1f} GB, and {device} for {self.busy:.0%} of the time"


def members_that_fit(use: Use, most: int) -> int:
    """How many runs like the one that was measured alone fit side by side, `most` at most.

    Memory is a hard limit. Beyond that a further run helps only as far as the device has been idle: a run that keeps it
    busy for 45 % of the time leaves room for one more, one that keeps it busy for 80 % leaves none.
    """
    by_memory = int(ROOM * use.total / max(1, use.memory))
    by_time = round(1 / max(use.busy, 0.01))
    return max(1, min(most, by_memory, by_time))


def measure(run: RunDir) -> Use:
    """Measure the run that trains in this job alone. Takes `SAMPLES` × `PERIOD` seconds."""
    return _gpu_use() or _host_use(run)


def _gpu_use() -> Use | None:
    """What the driver says of the job's GPU, of which a pack has one; None if it does not tell, or there is none."""
    with GpuMeter(gpu_names(os.environ.get("CUDA_VISIBLE_DEVICES", ""))) as meter:
        totals = [device.memory for device in meter.devices]
        if not totals or None in totals:
            return None
        samples: list[GpuSample] = []
        for _ in range(SAMPLES):
            time.sleep(PERIOD)
            samples += meter.sample()
    used = [sample.memory for sample in samples if sample.memory is not None]
    busy = [sample.busy for sample in samples if sample.busy is not None]
    if len(used) < len(samples) or len(busy) < len(samples):  # such as a part of a GPU before Hopper
        return None
    total = min(total for total in totals if total is not None)
    return Use(memory=max(used) // 2**20, total=total // 2**20, busy=sum(busy) / len(busy), gpu=True)


def _host_use(run: RunDir) -> Use:
    before, began = _cpu_seconds(run), time.monotonic()
    time.sleep(SAMPLES * PERIOD)
    cpus = int(os.environ.get("SLURM_CPUS_ON_NODE", os.cpu_count() or 1))
    busy = (_cpu_seconds(run) - before) / (time.monotonic() - began) / cpus
    peak = sum(_status_kilobytes(process, "VmHWM") for process in _processes(run)) // 1024
    return Use(memory=peak, total=_job_memory(), busy=max(0.0, busy), gpu=False)


def _job_memory() -> int:
    """Megabytes of host memory that the job has; all of the node's if Slurm does not limit it."""
    own = os.environ.get("SLURM_MEM_PER_NODE")
    return int(own) if own else os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**20


def _processes(run: RunDir) -> Iterator[Path]:
    """The folders in /proc of the training processes of `run` on this node."""
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_bytes().split(b"\0")
        except OSError:  # it has ended meanwhile, or is somebody else's
            continue
        if b"passingloop.job" in words and os.fsencode(run.path) in words and words[0] != b"srun":
            yield process


def _cpu_seconds(run: RunDir) -> float:
    """CPU time of the training processes so far: utime and stime of proc(5)."""
    ticks = 0
    for process in _processes(run):
        try:
            fields = (process / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def _status_kilobytes(process: Path, name: str) -> int:
    try:
        lines = (process / "status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith(f"{name}:")), 0)
