"""``samples/attempt-NNNN-NODE.jsonl``: what the GPUs and CPUs of a node do during an attempt, every few seconds.

    {"version": 1, "attempt": 1, "node": "n1", "cpus": 8, "memory_limit": 68719476736,
     "devices": [{"name": "NVIDIA H200", "uuid": "GPU-4cf8…", "memory": 150754820096}]}
    [1793695202.1, 5.0, 3.87, 9120, 2210, 0, [97, 71, 38, 80530, 612, 58, 0]]
    {"totals": {…}}

The first line says what is sampled. A line that is a list is a sample, see `Sample.to_row`. A line with totals sums up
all samples above it, so that readers of many runs need the end of the file only: see `passingloop.rundir.usage`.
What could not be measured is null, never 0. The file is only appended to, each line with a single write.
"""

from __future__ import annotations

import itertools
import json
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from io import FileIO
from pathlib import Path
from typing import Any, Self

from passingloop.files import check_version
from passingloop.rundir.directory import RunDir

VERSION = 1
"""Format version of the file."""

BYTES_PER_SECOND = 1_850_000 / 86_400
"""How fast samples may let the file grow, which with its totals is 2 MB a day. With many GPUs they are taken less often
than was asked for."""

THROTTLE_REASONS = {"power": 1, "heat": 2, "brake": 4, "hardware": 8}
"""Why the clocks of a GPU are lower than they could be, and the bit of each reason in the file: its power limit, its
temperature, a brake by the machine's power supply, or another of the hardware's reasons."""

TAIL_BYTES = 65_536
"""At the end of the file that holds the newest totals and all samples after them."""

HEADER_LINES = 10
"""Among so many lines is the first that says what is sampled: those before it were torn by a full disk."""

_FILE_NAME = re.compile(r"attempt-(\d{4,})-(.+)\.jsonl")

_MIB, _KB = 2**20, 1000


@dataclass(frozen=True, kw_only=True, slots=True)
class Device:
    """A GPU, or a part of one (MIG), that an attempt uses."""

    name: str
    """As the driver calls it, such as ``NVIDIA H200`` or ``NVIDIA H200 MIG 1g.18gb``."""
    uuid: str
    memory: int | None = None
    """In bytes."""


@dataclass(frozen=True, kw_only=True, slots=True)
class GpuSample:
    """What a GPU does at one time. None is what it does not tell, or what could not be asked for."""

    busy: float | None = None
    """The share of the time, 0 to 1, in which anything runs on it. A kernel that only waits for others counts."""
    sm: float | None = None
    """The mean share of its multiprocessors that work: with NVML's GPM, from Hopper on."""
    tensor: float | None = None
    """The share of the time in which its tensor cores work: as `sm`."""
    memory: int | None = None
    """Bytes in use, also by others where the GPU is shared."""
    power: float | None = None
    """Watts. None for a part of a GPU."""
    temperature: float | None = None
    """°C."""
    throttled: tuple[str, ...] | None = None
    """The `THROTTLE_REASONS` that hold; empty if it may run as fast as it can."""

    def to_row(self) -> list[int | None]:
        """The values in the order above: percent, percent, percent, MiB, watts, °C, bits of the reasons."""
        percents = [_rounded(share, 100) for share in (self.busy, self.sm, self.tensor)]
        bits = None if self.throttled is None else sum(THROTTLE_REASONS[reason] for reason in self.throttled)
        return [*percents, _rounded(self.memory, 1 / _MIB), _rounded(self.power), _rounded(self.temperature), bits]

    @classmethod
    def from_row(cls, row: Sequence[int | None]) -> GpuSample:
        """Read what `to_row` wrote.

        Raises:
            ValueError, TypeError: it did not.
        """
        busy, sm, tensor, memory, power, temperature, bits = row
        reasons = None if bits is None else tuple(name for name, bit in THROTTLE_REASONS.items() if bits & bit)
        return cls(
            busy=_scaled(busy, 0.01),
            sm=_scaled(sm, 0.01),
            tensor=_scaled(tensor, 0.01),
            memory=None if memory is None else memory * _MIB,
            power=_scaled(power),
            temperature=_scaled(temperature),
            throttled=reasons,
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Sample:
    """What a node does for the attempt. None is what could not be measured."""

    time: float
    """Seconds since the epoch, by the node's clock, which may have been set meanwhile."""
    seconds: float
    """How long a time the sample stands for: since the one before, but not longer than samples are apart."""
    gpus: tuple[GpuSample, ...] = ()
    """In the order of `NodeSamples.devices`."""
    cpus: float | None = None
    """CPUs in use, on average over `seconds`."""
    memory: int | None = None
    """Bytes of host memory in use, without the page cache."""
    read: float | None = None
    """Bytes per second read from storage."""
    written: float | None = None
    """Bytes per second written to storage."""

    def to_row(self) -> list[Any]:
        """`time`, `seconds`, `cpus`, memory in MiB, read and written in kB/s, and a list for each GPU."""
        host = [_rounded(self.memory, 1 / _MIB), _rounded(self.read, 1 / _KB), _rounded(self.written, 1 / _KB)]
        cpus = None if self.cpus is None else round(self.cpus, 2)
        return [round(self.time, 1), round(self.seconds, 1), cpus, *host, *(gpu.to_row() for gpu in self.gpus)]

    @classmethod
    def from_row(cls, row: Sequence[Any]) -> Sample:
        """Read what `to_row` wrote.

        Raises:
            ValueError, TypeError: it did not.
        """
        time, seconds, cpus, memory, read, written, *gpus = row
        return cls(
            time=float(time),
            seconds=float(seconds),
            gpus=tuple(map(GpuSample.from_row, gpus)),
            cpus=_scaled(cpus),
            memory=None if memory is None else memory * _MIB,
            read=_scaled(read, _KB),
            written=_scaled(written, _KB),
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class NodeSamples:
    """The samples of a node during an attempt, oldest first."""

    attempt: int
    node: str
    devices: tuple[Device, ...] = ()
    """The GPUs of the attempt on this node. None of them if there is no driver."""
    cpus: int | None = None
    """CPUs that the attempt may use on this node."""
    memory_limit: int | None = None
    """Bytes of host memory that it may use there."""
    samples: tuple[Sample, ...] = field(default=(), repr=False)

    def to_header(self) -> dict[str, Any]:
        """The first line of the file."""
        devices = [asdict(device) for device in self.devices]
        named = {"version": VERSION, "attempt": self.attempt, "node": self.node}
        return named | {"cpus": self.cpus, "memory_limit": self.memory_limit, "devices": devices}

    @classmethod
    def from_header(cls, header: dict[str, Any], samples: Iterable[Sample] = ()) -> NodeSamples:
        """Read what `to_header` wrote.

        Raises:
            OtherVersion: a later version of the program wrote it.
            KeyError, TypeError: it is no such line.
        """
        what, remedy = f"The samples of attempt {header.get('attempt')}", "Read them with the version that wrote them."
        check_version(what, header["version"], VERSION, remedy)
        devices = tuple(
            Device(name=each["name"], uuid=each["uuid"], memory=each["memory"]) for each in header["devices"]
        )
        return cls(
            attempt=header["attempt"],
            node=header["node"],
            devices=devices,
            cpus=header["cpus"],
            memory_limit=header["memory_limit"],
            samples=tuple(samples),
        )


class SamplesFile:
    """Appends lines to the samples of a node. What cannot be written, because the disk is full for one, is left out.

    Raises:
        OSError: the file cannot be opened.
    """

    def __init__(self, path: Path, node: NodeSamples) -> None:
        self._header = _encode(node.to_header())
        """What is to be written before the next line."""
        self._file = FileIO(path, "a")  # unbuffered: nothing remains after a failed write
        self._is_torn = self._file.seek(0, os.SEEK_END) > 0  # perhaps: an empty line does no harm
        self._write(b"")

    def append(self, line: object) -> int:
        """Append `line` as JSON. Returns its length in bytes, whether it could be written or not."""
        encoded = _encode(line)
        self._write(encoded)
        return len(encoded)

    def _write(self, encoded: bytes) -> None:
        pending = b"\n" * self._is_torn + self._header + encoded
        with suppress(OSError):
            written = self._file.write(pending)
            self._is_torn = written < len(pending)
            if written >= len(pending) - len(encoded):
                self._header = b""

    def close(self) -> None:
        with suppress(OSError):
            self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def read_samples(run: RunDir, attempt: int | None = None, most: int | None = None) -> list[NodeSamples]:
    """All samples of `attempt`, or of all attempts, by attempt and node; empty if there are none.

    Lines that cannot be read, such as a torn last one, and files without a first line are left out.

    Args:
        most: of each file about so many samples are enough, spread over it.

    Raises:
        OtherVersion: a later version of the program wrote them.
    """
    read = (_read_file(path, most=most) for path in sample_files(run, attempt))
    return [samples for samples in read if samples]


def recent_samples(run: RunDir, attempt: int, seconds: float) -> list[NodeSamples]:
    """As `read_samples`, but of the last `seconds` before each node's newest sample only, for which little is read."""
    found = []
    for path in sample_files(run, attempt):
        node = _read_file(path, TAIL_BYTES + int(2 * BYTES_PER_SECOND * seconds))
        if node and node.samples:
            covered, newest = 0.0, []
            for sample in reversed(node.samples):
                if covered >= seconds:
                    break
                covered += sample.seconds
                newest.append(sample)
            found.append(NodeSamples.from_header(node.to_header(), reversed(newest)))
    return found


def sample_files(run: RunDir, attempt: int | None = None) -> list[Path]:
    """The files with the samples of `attempt`, or of all attempts, by attempt and node."""
    try:
        names = sorted(path.name for path in run.samples.iterdir())
    except OSError:
        return []
    matches = [match for name in names if (match := _FILE_NAME.fullmatch(name))]
    return [run.samples / match[0] for match in matches if attempt in (None, int(match[1]))]


def read_header(path: Path) -> NodeSamples | None:
    """What is sampled, without the samples; None if that is not among the first lines.

    Raises:
        OtherVersion: a later version of the program wrote it.
    """
    try:
        with path.open("rb") as file:
            lines = list(itertools.islice(file, HEADER_LINES))
    except OSError:
        return None
    for line in lines:
        with suppress(ValueError, KeyError, TypeError, AttributeError):
            return NodeSamples.from_header(json.loads(line))
    return None


def read_lines(path: Path, tail: int | None = None, most: int | None = None) -> Iterator[Any]:
    """The lines of the file as JSON, without those that are none.

    Args:
        tail: only those in so many bytes at its end.
        most: only at most twice so many of them, spread evenly.
    """
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            skipped = 0 if tail is None else max(0, size - tail)
            file.seek(skipped)
            lines = file.read().split(b"\n")[1 if skipped else 0 :]
    except OSError:
        return
    for line in lines[:: max(1, len(lines) // most)] if most else lines:
        with suppress(ValueError):
            yield json.loads(line)


def as_sample(line: Any, devices: int) -> Sample | None:
    """The sample in a line of the file; None if it is another line, or one that is not as it was written."""
    with suppress(ValueError, TypeError):
        if (
            isinstance(line, list)
            and len(line) == len(("time", "seconds", "cpus", "memory", "read", "written")) + devices
        ):
            return Sample.from_row(line)
    return None


def _read_file(path: Path, tail: int | None = None, most: int | None = None) -> NodeSamples | None:
    header = read_header(path)
    if header is None:
        return None
    samples = (as_sample(line, len(header.devices)) for line in read_lines(path, tail, most))
    return NodeSamples.from_header(header.to_header(), (sample for sample in samples if sample))


def _encode(line: object) -> bytes:
    return json.dumps(line, separators=(",", ":"), ensure_ascii=False).encode() + b"\n"


def _rounded(value: float | None, factor: float = 1) -> int | None:
    return None if value is None else round(value * factor)


def _scaled(value: float | None, factor: float = 1.0) -> float | None:
    return None if value is None else value * factor
