"""What is known of a run for advice on it, and what sentences on it are worded with. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from passingloop.figures import brief
from passingloop.report.usage.allocation_use import Use

GB = 1e9
"""Bytes in which memories are given, as the makers of GPUs do: an H200 has 141 GB."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RunFacts:
    """A run, over all of its attempts that the report knows. None is what is not known."""

    gpu_hours: float = 0.0
    seconds: Mapping[Use, float] = field(default_factory=dict)
    """Wall-clock seconds by use."""
    is_complete: bool = False
    gpus: int | None = None
    """On all nodes together, in the newest attempt."""
    nodes: int = 1
    processes: int = 1
    """Per node."""
    gpu: str | None = None
    """The type of GPU, as the driver or Slurm names it."""
    busy: float | None = None
    """The mean share of busy time of its GPUs; `sm` likewise of their multiprocessors."""
    sm: float | None = None
    idle: float | None = None
    """The share of the time in which a GPU did nothing."""
    throttled: Mapping[str, float] = field(default_factory=dict)
    """The share of the time in which GPUs were slowed down, by reason."""
    gpu_memory: int | None = None
    """Bytes at most, of `gpu_memory_total`."""
    gpu_memory_total: int | None = None
    cpus: float | None = None
    """CPUs in use on a node, on average, of `cpus_asked`."""
    cpus_asked: float | None = None
    memory: int | None = None
    """Bytes of host memory of a node at most, of `memory_asked`."""
    memory_asked: int | None = None
    data_wait: float | None = None
    """The share of `training` time in which the GPUs waited for a batch; `evaluating` likewise."""
    evaluating: float | None = None
    precision: str | None = None
    micro_batch: object = None
    """The setting, as the next three."""
    eval_every: object = None
    epochs: object = None
    pack: object = 1
    siblings: int = 1
    """Runs of its experiment in the report, itself included."""
    time_limit: float | None = None
    """Seconds."""
    longest: float = 0.0
    """Seconds of the longest time that a job of it ran."""
    wait: float | None = None
    """Seconds that its jobs waited in the queue, all together."""
    uncovered: float = 1.0
    """Of the time that was lost, the share that was training which no checkpoint had. In the rest an attempt that
    failed stood still, or died unseen."""
    stood_still: float = 0.0
    """Seconds that attempts stood still before they were ended as hung, all together."""
    ends: Mapping[str, int] = field(default_factory=dict)
    """How many attempts have ended, by cause."""
    host_oom: int = 0
    """How often the host's memory ran out; the GPU's likewise."""
    gpu_oom: int = 0
    failed_nodes: tuple[str, ...] = ()
    first_start: float | None = None
    """Seconds from the start of its first attempt to its first step."""

    @property
    def total(self) -> float:
        return sum(self.seconds.values())

    def share(self, *uses: Use) -> float:
        """The share of its time that went into these uses."""
        return sum(self.seconds.get(use, 0.0) for use in uses) / self.total if self.total else 0.0

    @property
    def lost_share(self) -> float:
        """The share of its time that was training which no checkpoint had."""
        return self.share("lost_to_preemption", "lost_to_failure") * self.uncovered

    @property
    def still_share(self) -> float:
        """The share of its time in which it hung."""
        return min(self.stood_still / self.total, self.share("lost_to_failure")) if self.total else 0.0

    def hours(self, share: float) -> float:
        """The GPU-hours that are this share of all."""
        return self.gpu_hours * share

    @property
    def attempts(self) -> int:
        return sum(self.ends.values())

    @property
    def gpu_name(self) -> str:
        """Its type in short: ``H200``."""
        return (self.gpu or "GPU").removeprefix("NVIDIA ").upper()


def hours_text(hours: float) -> str:
    """``0.04``, ``<0.01``, ``12.3``, ``1,234``."""
    if hours < 1:
        return f"{hours:.2f}" if hours >= 0.005 or not hours else "<0.01"
    return f"{hours:,.1f}" if hours < 1000 else f"{hours:,.0f}"


def gigabytes(size: float) -> str:
    return brief(size / GB)


def times(count: int) -> str:
    return "once" if count == 1 else "twice" if count == 2 else f"{count} times"


def clock_limit(seconds: float) -> str:
    """A time limit in Slurm's notation with room for half as much again, in whole half hours: ``2:30:00``."""
    halves = math.ceil(seconds * 1.5 / 1800)
    return f"{halves // 2}:{30 * (halves % 2):02}:00"


def memory_setting(size: float) -> str:
    """A size of host memory as it is set, with a quarter more, in whole GiB: ``12G``."""
    return f"{math.ceil(size * 1.25 / 2**30)}G"
