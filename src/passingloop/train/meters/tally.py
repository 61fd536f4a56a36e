"""What steps have worked through, and what they took: from it follow throughput, padding, data wait and MFU."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch

from passingloop.track.speed import Speed
from passingloop.train.meters.clock import Clock
from passingloop.train.meters.flops import ModelSize, Operations, peak_flops

RECENT_STEPS = 20
"""The speed that is shown is that of so many last steps."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Tally:
    """What steps add up to. As a part of a checkpoint it is of all attempts, as far as they are in the checkpoint."""

    samples: int = 0
    tokens: int = 0
    """Without padding."""
    filled: int = 0
    """Tokens of the first process."""
    places: int = 0
    """Those that its model computes for: of its rows, or without most of their padding where it computes flat."""
    operations: Operations = field(default_factory=Operations)
    possible: float | None = 0.0
    """Operations that the devices could have done in `seconds`; None if their peak is not known, as on a CPU."""
    seconds: float = 0.0
    """In steps, without evaluations and saves."""
    data_wait: float = 0.0
    """The part of `seconds` in which the first process waited for its next batch, with nothing to do for its device."""
    peak_memory: int = 0
    """Bytes that the first process used of its device's memory at most, or of the host's on a CPU."""

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Tally:
        """What `dataclasses.asdict` has made. Raises TypeError or KeyError if it is something else."""
        return cls(**{**content, "operations": Operations(**content["operations"])})

    def since(self, before: Tally) -> Tally:
        """What has been added since an earlier tally."""
        unknown = self.possible is None or before.possible is None
        return Tally(
            samples=self.samples - before.samples,
            tokens=self.tokens - before.tokens,
            filled=self.filled - before.filled,
            places=self.places - before.places,
            operations=self.operations - before.operations,
            possible=None if unknown else (self.possible or 0.0) - (before.possible or 0.0),
            seconds=self.seconds - before.seconds,
            data_wait=self.data_wait - before.data_wait,
            peak_memory=self.peak_memory,
        )

    @property
    def speed(self) -> Speed:
        """Its figures; 0 where no time has passed."""
        seconds = self.seconds or float("inf")
        return Speed(
            samples_per_second=self.samples / seconds,
            tokens_per_second=self.tokens / seconds,
            padding=1 - self.filled / self.places if self.places else 0.0,
            data_wait=min(1.0, self.data_wait / seconds),
            mfu=self.operations.shares_of(self.possible) if self.possible else None,
            peak_memory=self.peak_memory,
        )


class Meter:
    """Keeps the tally of an attempt.

    Args:
        clock: the attempt's.
        before: the tally of the checkpoint that the attempt continues from.
        device: of this process.
        peak: operations per second of all devices; None if that is not known.
    """

    def __init__(self, clock: Clock, size: ModelSize, before: Tally, device: torch.device, peak: float | None) -> None:
        self._clock, self._size, self._device, self._peak = clock, size, device, peak
        self._before = self._counted = before
        self._recent = deque([before], maxlen=RECENT_STEPS + 1)

    def count(self, lengths: Any, filled: int, places: int) -> None:
        """Count a step, which is queued by now, on examples of these lengths.

        Args:
            filled: tokens of this process.
            places: those that its model computes for.
        """
        counted = self._counted
        self._counted = self._timed(
            replace(
                counted,
                samples=counted.samples + len(lengths),
                tokens=counted.tokens + int(lengths.sum()),
                filled=counted.filled + filled,
                places=counted.places + places,
                operations=counted.operations + self._size.operations(lengths),
            )
        )
        self._recent.append(self._counted)

    @property
    def recent(self) -> Speed:
        """The speed over the last `RECENT_STEPS` steps, or over those of this attempt if there were fewer."""
        return self._counted.since(self._recent[0]).speed

    @property
    def total(self) -> Tally:
        """The tally up to now, with the most memory that was used."""
        return self._timed(replace(self._counted, peak_memory=self.peak_memory))

    @property
    def peak_memory(self) -> int:
        """As `Tally.peak_memory`, up to now."""
        return max(self._before.peak_memory, peak_memory(self._device))

    def _timed(self, counted: Tally) -> Tally:
        """What was counted, with the time up to now."""
        before, seconds = self._before, self._clock.stepping
        unknown = before.possible is None or self._peak is None
        return replace(
            counted,
            possible=None if unknown else (before.possible or 0.0) + (self._peak or 0.0) * seconds,
            seconds=before.seconds + seconds,
            data_wait=before.data_wait + self._clock.data_wait,
        )


def open_meter(clock: Clock, size: ModelSize, before: Tally, device: torch.device, processes: int) -> Meter:
    """The meter of an attempt with so many processes, each with a device of this one's type."""
    peak = peak_flops(torch.cuda.get_device_name(device)) if device.type == "cuda" else None
    return Meter(clock, size, before, device, None if peak is None else peak * processes)


def peak_memory(device: torch.device) -> int:
    """Bytes that this process has used of the device's memory at most; on a CPU of the host's, resident."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    lines = Path("/proc/self/status").read_text().splitlines()
    kilobytes = next((line.split()[1] for line in lines if line.startswith("VmHWM:")), "0")
    return int(kilobytes) * 1024
