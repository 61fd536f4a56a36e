"""What an attempt, or a run, has used of its GPUs and nodes: its samples summed up."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from passingloop.rundir.directory import RunDir
from passingloop.rundir.samples import (
    TAIL_BYTES,
    THROTTLE_REASONS,
    NodeSamples,
    Sample,
    as_sample,
    read_header,
    read_lines,
    sample_files,
)

IDLE = 0.05
"""A GPU whose share of busy time is below this is idle."""

LAST_LINE_BYTES = 4096
"""At the end of a file that an attempt has closed: its totals are there."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Usage:
    """What was used. Means are over the time of the samples; None is what no sample tells."""

    nodes: int
    gpus: int
    """Over all nodes, at most of any attempt."""
    devices: tuple[str, ...] = ()
    """The kinds of GPU, such as ``NVIDIA H200``, each once."""
    seconds: float = 0.0
    """The time that samples cover."""
    gpu_seconds: float = 0.0
    """The same, summed over the GPUs."""
    busy: float | None = None
    """As `passingloop.rundir.samples.GpuSample` has it; the mean over all GPUs."""
    sm: float | None = None
    tensor: float | None = None
    idle: float | None = None
    """The share of GPU time in which GPUs were idle, see `IDLE`."""
    gpu_memory: int | None = None
    """Bytes, at most of any GPU."""
    gpu_memory_total: int | None = None
    """Bytes that a GPU has; of the smallest, if they differ."""
    energy: float | None = None
    """Joules that the GPUs have used while their power was known."""
    power: float | None = None
    """Watts of a GPU."""
    temperature: float | None = None
    """°C, at most of any GPU."""
    throttled: Mapping[str, float] = field(default_factory=dict)
    """The share of GPU time in which each of `THROTTLE_REASONS` held, where one did."""
    cpus: float | None = None
    """CPUs in use on a node."""
    cpus_available: float | None = None
    """CPUs that could be used there."""
    memory: int | None = None
    """Bytes of host memory, at most on any node."""
    memory_limit: int | None = None
    """Bytes that could be used there; of the smallest limit, if they differ."""
    read: float | None = None
    """Bytes read from storage, on all nodes together."""
    written: float | None = None


@dataclass(slots=True)
class Totals:
    """Sums over samples: they can be added to those of other samples."""

    sums: dict[str, float] = field(default_factory=dict)
    """Of each quantity times seconds."""
    seconds: dict[str, float] = field(default_factory=dict)
    """In which each quantity was known."""
    peaks: dict[str, float] = field(default_factory=dict)

    def add(self, sample: Sample) -> None:
        """Take a sample in."""
        length = sample.seconds
        self._sum("node", 1.0, length)
        for name, value in (("cpus", sample.cpus), ("read", sample.read), ("written", sample.written)):
            self._sum(name, value, length)
        self._peak("memory", sample.memory)
        for gpu in sample.gpus:
            self._sum("gpu", 1.0, length)
            for name, value in (("busy", gpu.busy), ("sm", gpu.sm), ("tensor", gpu.tensor), ("power", gpu.power)):
                self._sum(name, value, length)
            self._sum("idle", None if gpu.busy is None else float(gpu.busy < IDLE), length)
            for reason in THROTTLE_REASONS:
                holds = None if gpu.throttled is None else float(reason in gpu.throttled)
                self._sum(f"throttled by {reason}", holds, length)
            self._peak("gpu_memory", gpu.memory)
            self._peak("temperature", gpu.temperature)

    def merge(self, other: Totals) -> None:
        """Take in what `other` sums up."""
        for own, new in ((self.sums, other.sums), (self.seconds, other.seconds)):
            for name, value in new.items():
                own[name] = own.get(name, 0.0) + value
        for name, value in other.peaks.items():
            self._peak(name, value)

    def mean(self, name: str) -> float | None:
        """The mean over the time in which it was known."""
        return self.sums[name] / self.seconds[name] if self.seconds.get(name) else None

    def sum(self, name: str) -> float | None:
        """The quantity summed over time; None if it was never known."""
        return self.sums.get(name)

    def peak(self, name: str) -> float | None:
        return self.peaks.get(name)

    def to_line(self) -> dict[str, Any]:
        """The totals as a line of the file."""
        parts = {"sums": self.sums, "seconds": self.seconds, "peaks": self.peaks}
        return {"totals": {part: {name: float(f"{v:.12g}") for name, v in of.items()} for part, of in parts.items()}}

    @classmethod
    def from_line(cls, line: Any) -> Totals | None:
        """Read what `to_line` wrote; None if it is another line."""
        match line:
            case {"totals": {"sums": dict(sums), "seconds": dict(seconds), "peaks": dict(peaks)}}:
                return cls(dict(sums), dict(seconds), dict(peaks))
        return None

    def _sum(self, name: str, value: float | None, seconds: float) -> None:
        if value is not None:
            self.sums[name] = self.sums.get(name, 0.0) + value * seconds
            self.seconds[name] = self.seconds.get(name, 0.0) + seconds

    def _peak(self, name: str, value: float | None) -> None:
        if value is not None:
            self.peaks[name] = max(value, self.peaks.get(name, value))


def read_usage(run: RunDir, attempt: int | None = None) -> Usage | None:
    """What `attempt`, or all attempts together, have used; None if there are no samples.

    Only the end of each file is read, unless totals are missing there.

    Raises:
        OtherVersion: a later version of the program wrote them.
    """
    return sum_up(
        (header, _read_totals(path, header)) for path in sample_files(run, attempt) if (header := read_header(path))
    )


def sum_up(nodes: Iterable[tuple[NodeSamples, Totals]]) -> Usage | None:
    """The usage of nodes and attempts together; None without any sample."""
    sampled = [(node, totals) for node, totals in nodes if totals.seconds.get("node")]
    if not sampled:
        return None
    totals = Totals()
    for _, each in sampled:
        totals.merge(each)
    attempts = sorted({node.attempt for node, _ in sampled})
    of_attempt = {number: [pair for pair in sampled if pair[0].attempt == number] for number in attempts}
    devices = [device for node, _ in sampled for device in node.devices]
    limits = [node.memory_limit for node, _ in sampled if node.memory_limit is not None]
    available = [node.cpus for node, _ in sampled if node.cpus is not None]
    shares = {reason: totals.mean(f"throttled by {reason}") for reason in THROTTLE_REASONS}
    return Usage(
        nodes=max(len(pairs) for pairs in of_attempt.values()),
        gpus=max(sum(len(node.devices) for node, _ in pairs) for pairs in of_attempt.values()),
        devices=tuple(sorted({device.name for device in devices})),
        seconds=sum(max(each.seconds["node"] for _, each in pairs) for pairs in of_attempt.values()),
        gpu_seconds=totals.sum("gpu") or 0.0,
        busy=totals.mean("busy"),
        sm=totals.mean("sm"),
        tensor=totals.mean("tensor"),
        idle=totals.mean("idle"),
        gpu_memory=_whole(totals.peak("gpu_memory")),
        gpu_memory_total=min((device.memory for device in devices if device.memory is not None), default=None),
        energy=totals.sum("power"),
        power=totals.mean("power"),
        temperature=totals.peak("temperature"),
        throttled={reason: share for reason, share in shares.items() if share},
        cpus=totals.mean("cpus"),
        cpus_available=sum(available) / len(available) if available else None,
        memory=_whole(totals.peak("memory")),
        memory_limit=min(limits, default=None),
        read=totals.sum("read"),
        written=totals.sum("written"),
    )


def _read_totals(path: Path, header: NodeSamples) -> Totals:
    """The newest totals in the file and the samples after them; without totals, all samples."""
    for tail in (LAST_LINE_BYTES, TAIL_BYTES, None):
        lines, found = list(read_lines(path, tail)), None
        for number in reversed(range(len(lines))):  # those before the totals are in them
            if found := Totals.from_line(lines[number]):
                lines = lines[number + 1 :]
                break
        if found or tail is None:
            totals = found or Totals()
            for line in lines:
                if sample := as_sample(line, len(header.devices)):
                    totals.add(sample)
            return totals
    raise AssertionError("the whole file was read")


def _whole(value: float | None) -> int | None:
    return None if value is None else int(value)
