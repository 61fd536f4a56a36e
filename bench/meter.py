"""Measures the optimizer steps of this process, whichever trainer makes them: their times, and what their batches hold.

torch calls a hook after the `step` of any optimizer. The first steps warm up; after as many steps or seconds as were
asked for the figures are written, and the process ends there: nothing of a trainer's end is waited for.
"""

import json
import os
import resource
import statistics
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

import torch
from torch import Tensor
from torch.optim.optimizer import register_optimizer_step_post_hook


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What is to be measured, and where the figures go."""

    out: str
    pad: int
    """The id of padding, which no text has."""
    warmup: int
    """Steps that are not measured."""
    steps: int
    """Steps that are measured at most."""
    seconds: float
    """After so long no further step is measured, if there are two."""


@dataclass
class Meter:
    """`see` is to be called with the token ids of each batch before its forward pass."""

    wanted: Wanted
    facts: dict[str, Any] = field(default_factory=dict)
    """More for the figures."""
    marks: list[Any] = field(default_factory=list)
    """When each step was done: seconds of the clock, or events of the GPU, which nobody has to wait for."""
    seen: list[tuple[int, tuple[int, ...], Tensor]] = field(default_factory=list)
    """Of each batch: the step it belongs to, its shape, and its tokens without padding, counted on the device."""

    began: float = 0.0
    cpu: float = 0.0
    """When measuring began: of the clock, and of this process."""

    def start(self) -> None:
        """From now on steps are measured."""
        register_optimizer_step_post_hook(lambda *_: self.after_step())

    def see(self, ids: Tensor) -> None:
        self.seen.append((len(self.marks), tuple(ids.shape), (ids != self.wanted.pad).sum()))

    def after_step(self) -> None:
        self.marks.append(self._now())
        measured = len(self.marks) - self.wanted.warmup
        if measured == 0:
            self.began, self.cpu = time.perf_counter(), time.process_time()
            if torch.cuda.is_available():
                torch.cuda.reset_peak_memory_stats()
        elif measured >= self.wanted.steps or (
            measured >= 2 and time.perf_counter() - self.began > self.wanted.seconds
        ):
            self.finish()

    def finish(self) -> None:
        """All steps are measured."""
        self.end_process(self.figures())

    def end_process(self, figures: dict[str, Any]) -> NoReturn:
        """Write the figures, and end this process."""
        Path(self.wanted.out).write_text(json.dumps(self.facts | figures), encoding="utf-8")
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)

    def figures(self) -> dict[str, Any]:
        """Of the measured steps. CPU time is that of all threads: other programs on the cores hardly change it."""
        cpu = time.process_time() - self.cpu
        warmup, steps = self.wanted.warmup, len(self.marks) - self.wanted.warmup
        seconds = self._seconds()[-steps:]
        batches = [batch for batch in self.seen if warmup <= batch[0] < len(self.marks)]
        tokens = int(sum(int(count) for _, _, count in batches))
        positions = sum(int(torch.Size(shape).numel()) for _, shape, _ in batches)
        earlier = {shape for step, shape, _ in self.seen if step < warmup}
        return {
            "steps": steps,
            "seconds": round(sum(seconds), 4),
            "median_step_ms": round(1000 * statistics.median(seconds), 3),
            "cpu_ms_per_step": round(1000 * cpu / steps, 3),
            "tokens_per_second": round(tokens / sum(seconds), 1),
            "tokens_per_cpu_second": round(tokens / cpu, 1),
            "rows_per_second": round(sum(shape[0] for _, shape, _ in batches) / sum(seconds), 2),
            "tokens_per_step": round(tokens / steps, 1),
            "micro_batches_per_step": round(len(batches) / steps, 2),
            "padding": round(1 - tokens / positions, 4),
            "new_shapes_after_warmup": len({shape for _, shape, _ in batches} - earlier),
            **memory(),
        }

    def _now(self) -> Any:
        if not torch.cuda.is_available():
            return time.perf_counter()
        event = torch.cuda.Event(enable_timing=True)
        event.record()
        return event

    def _seconds(self) -> list[float]:
        """Of each step but the first."""
        if not torch.cuda.is_available():
            return [now - before for before, now in zip(self.marks, self.marks[1:], strict=False)]
        torch.cuda.synchronize()
        return [before.elapsed_time(now) / 1000 for before, now in zip(self.marks, self.marks[1:], strict=False)]


def memory() -> dict[str, float]:
    """GiB: of the GPU what was allocated and what was reserved at most; without one what this process had resident."""
    if not torch.cuda.is_available():
        return {"resident_gib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 3)}
    return {
        "allocated_gib": round(torch.cuda.max_memory_allocated() / 2**30, 3),
        "reserved_gib": round(torch.cuda.max_memory_reserved() / 2**30, 3),
    }
