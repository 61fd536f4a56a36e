"""How a model computes on its device: compiled or not, which blocks twice, and how many tokens in a pass.

What can be found out by trying only is tried before the first step, on rows as long as the longest, and remembered by
model, device and length: see `passingloop.data.cache.measurements`. None of it changes what is learned. But it changes
how sums are rounded, so all attempts of a run on one kind of device go by the same figures.
"""

from __future__ import annotations

import logging
import math
import sys
import time
from dataclasses import dataclass
from typing import Literal, Protocol, TypeVar

import torch

from passingloop.data.cache.measurements import Figures, Key, Measurements
from passingloop.errors import ConfigError, MissingError
from passingloop.model.device.blocks import Blocks, fewest_recomputed
from passingloop.model.device.kernels import Compiler, missing_compiler
from passingloop.model.device.memory import Meter
from passingloop.model.device.micro_batch import most_rows, most_rows_safely

log = logging.getLogger("passingloop")

ENOUGH_TOKENS = 2048
"""Blocks are computed twice only if fewer tokens than these fit otherwise: smaller passes leave a GPU idle."""

MOST_TOKENS = 2**16
"""Tokens in a pass on a GPU at most; larger passes are not faster."""

FLOPS = 1e14
"""Floating-point operations per second by which the length of a run is estimated, before anything is measured."""

GAIN = 0.25
"""The share of the time that compiled blocks may save."""

TRIAL_SECONDS = 120.0
"""What compiling and comparing may take."""

TIMED = 3
"""Passes that are timed, of compiled blocks and of others in turn."""

Compile = bool | Literal["auto"]
Shared = TypeVar("Shared")


class Passes(Protocol):
    """Forward and backward passes of the model to be trained, whose gradients are of no interest."""

    width: int
    """Tokens in each row: those of the longest."""
    step_rows: int
    """Rows that this process has in a step, about."""
    set_rows: int
    """Rows of a pass if its examples are limited by `trainer.micro_batch`: with packed rows fewer than examples."""

    def run(self, rows: int, *, padded: bool = False) -> None:
        """A pass over so many rows, and wait for its end; `padded`: the last row is shorter, if there are several."""


class Group(Protocol):
    """The processes that train together."""

    leads: bool

    def share(self, value: Shared) -> Shared:
        """The value of the first process, in all of them."""

    def largest(self, value: float) -> float:
        """The largest value of all processes."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Tuned:
    """What was chosen."""

    tokens: int
    """Of a pass at most."""
    by: str
    """By what: "by its formula", "as tried" …; in words."""
    recomputed: int = 0
    """Blocks that are computed twice."""
    blocks: int = 0
    compiled: str = ""
    """What is to be said of compiling; nothing if nobody asked."""

    def __str__(self) -> str:
        passes = f"{self.tokens:,} tokens at most ({self.by})" if self.tokens < sys.maxsize else self.by
        twice = f"{self.recomputed} of {self.blocks} blocks computed again in the backward pass, to save memory"
        return ", ".join(filter(None, [passes, twice if self.recomputed else "", self.compiled]))


@dataclass(kw_only=True)
class Tuning:
    """Chooses how the model of `blocks` computes, and has it compute so."""

    device: torch.device
    blocks: Blocks
    passes: Passes
    group: Group
    meter: Meter | None
    """None on a CPU, where a formula is all there is: its memory is the machine's, which nobody may use up to try."""
    expected_tokens: int
    """Of a pass, by the formula."""
    held: int
    """Bytes that training takes of the device's memory beside weights, gradients and passes: the optimizer's state."""
    micro_batch: int | Literal["auto"]
    compile: Compile
    compiler: Compiler
    flops: float
    """What this process has to compute in the whole run, about."""
    is_sharded: bool
    key: Key
    """What model, device and settings of a pass are."""
    measurements: Measurements

    def choose(self) -> Tuned:
        """Try what has to be tried, and apply it.

        Raises:
            ConfigError, MissingError: `trainer.compile` is true, and there are no blocks, or there is no compiler.
        """
        self.blocks.recompute(len(self.blocks) if self.meter and self.expected_tokens < self.passes.width else 0)
        compiled, words = self._compiled()
        self.blocks.use(self.compiler if compiled else None)
        if compiled:
            self._warm_up()
            if not self.compiler.count:
                compiled, words = False, "blocks not compiled: the model computes without them here"
        tuned = self._tuned({**self.key, "compiled": int(compiled)}, words)
        self.blocks.recompute(tuned.recomputed)
        if compiled and tuned.recomputed:
            self._warm_up()
        self.compiler.is_training = True
        return tuned

    # --- compiling --------------------------------------------------------------------------------------------------

    def _compiled(self) -> tuple[bool, str]:
        """Whether the blocks are to be compiled, and what to say of it."""
        if self.compile is False:
            return False, ""
        missing = missing_compiler(self.device)
        if self.compile is True:
            if not len(self.blocks):
                raise ConfigError("You set trainer.compile=true, but this model has no list of blocks. Leave it out.")
            if missing:
                raise MissingError(
                    f"You set trainer.compile=true, but {missing}. Install it, or leave trainer.compile out."
                )
            return True, "blocks compiled"
        key: Key = {**self.key, "what": "compile"}
        figures = self.group.share(self.measurements.find(key) if self.group.leads else None)
        if figures is None:
            can_try = len(self.blocks) > 0 and self.group.share(missing) is None and self._may_pay()
            figures = self._compare() if can_try else {"untried": 1}
            if self.group.leads:  # what was not tried neither: later attempts compute as this one does
                self.measurements.keep(key, figures, for_others="compiled" in figures)
        if "compiled" not in figures:
            return False, "" if "untried" in figures else "blocks not compiled: that failed"
        gain = figures.get("plain", 0.0) / max(figures["compiled"], 1e-9)
        if gain <= 1:
            return False, f"blocks not compiled: that would be {gain:.2f} × as fast (measured)"
        return True, f"blocks compiled: {gain:.2f} × as fast (measured)"

    def _may_pay(self) -> bool:
        """Whether compiling can save more than comparing takes. Never on a CPU: see docs/explanation/speed.md."""
        return self.device.type != "cpu" and self.flops / FLOPS * GAIN > TRIAL_SECONDS

    def _compare(self) -> Figures:
        """Seconds of a pass with and without compiled blocks, the shortest of a few, and those of compiling them.

        Without those of compiled blocks if they could not be compiled, in which libraries and compilers have many ways.
        """
        rows = max(1, min(ENOUGH_TOKENS, self.expected_tokens) // self.passes.width)
        plain = self._shortest(rows, None)
        began = time.perf_counter()
        try:
            self.blocks.use(self.compiler)
            self._warm_up()
            compiling = time.perf_counter() - began
            compiled = self._shortest(rows, self.compiler)
            plain = min(plain, self._shortest(rows, None))
        except Exception as error:
            if self.is_sharded:  # the other processes would wait for this one
                raise
            log.info("The blocks cannot be compiled: %s", str(error).strip().splitlines()[:1])
            compiled = compiling = math.inf
        figures = {"plain": plain, "compiled": compiled, "compiling": compiling}
        slowest = {name: self.group.largest(seconds) for name, seconds in figures.items()}
        return {name: seconds for name, seconds in slowest.items() if math.isfinite(seconds)}

    def _shortest(self, rows: int, compiler: Compiler | None) -> float:
        """Seconds of the shortest of some passes, after one that prepares."""
        self.blocks.use(compiler)
        self.passes.run(rows)
        return min(self._seconds(rows) for _ in range(TIMED))

    def _seconds(self, rows: int) -> float:
        before = time.perf_counter()
        self.passes.run(rows)
        return time.perf_counter() - before

    def _warm_up(self) -> None:
        """Have the blocks compiled for all kinds of batches that training has, in the same order in every attempt.

        The code that comes out depends on the first batch of each kind.
        """
        several = self.expected_tokens >= 2 * self.passes.width
        for rows, padded in ((2, False), (2, True), (1, False)) if several else ((1, False),):
            self.passes.run(rows, padded=padded)

    # --- memory -----------------------------------------------------------------------------------------------------

    def _tuned(self, key: Key, words: str) -> Tuned:
        figures = self._figures(key, self.meter) if self.meter else {"tokens": self.expected_tokens, "recomputed": 0}
        tokens, by = max(1, int(figures["tokens"])), "as tried" if self.meter else "by the formula"
        if self.micro_batch != "auto":
            tokens, by = sys.maxsize, f"{self.micro_batch} examples at most"
        recomputed = min(int(figures["recomputed"]), len(self.blocks))
        return Tuned(tokens=tokens, by=by, recomputed=recomputed, blocks=len(self.blocks), compiled=words)

    def _figures(self, key: Key, meter: Meter) -> Figures:
        """What fits: tokens of a pass, and blocks that have to be computed twice for it. Remembered, else tried."""
        needed = max(1, min(ENOUGH_TOKENS // self.passes.width, self.passes.step_rows))
        if self.micro_batch != "auto":
            needed = min(self.passes.set_rows, self.passes.step_rows)
        key = {**key, "what": "memory", "needed": needed, "held": self.held, "capacity": int(meter.capacity)}
        figures = self.group.share(self.measurements.find(key) if self.group.leads else None)
        if figures is None or not {"tokens", "recomputed"} <= figures.keys():
            figures = self._try(needed, meter)
            if self.group.leads:
                self.measurements.keep(key, figures, for_others=not meter.is_crowded)
        return figures

    def _try(self, needed: int, meter: Meter) -> Figures:
        recomputed = self._fewest_recomputed(needed, meter)
        self.blocks.recompute(recomputed)
        rows = needed
        if self.micro_batch == "auto":
            limit = max(MOST_TOKENS // self.passes.width, needed)
            if self.is_sharded:
                rows = self._most_rows_of_shards(meter, limit)
            else:
                rows = most_rows(lambda number: self._peak(number, meter), meter.capacity, limit)
        return {"recomputed": recomputed, "tokens": max(rows, 1) * self.passes.width}

    def _most_rows_of_shards(self, meter: Meter, limit: int) -> int:
        """The most rows that fit in all processes, which compute each pass together.

        If memory ran out in one of them, the others would wait for it in the middle of the pass. So no pass is tried
        before all have the memory that it can take at most, and those that can take too much are not tried.
        """
        base = -self.group.largest(-(meter.taken + self.held))  # the least, by which the bound is the highest
        tried: list[tuple[int, float]] = []

        def peak(rows: int) -> float:
            if tried:  # without one row there is nothing to train
                fewer, taken = tried[-1]
                at_most = base + (taken - base) * rows / fewer
                if self.group.largest(0.0 if meter.reserve(at_most) else 1.0):
                    return math.inf
            tried.append((rows, self._peak(rows, meter)))
            return tried[-1][1]

        return most_rows_safely(peak, base, meter.capacity, limit)

    def _fewest_recomputed(self, needed: int, meter: Meter) -> int:
        """How many blocks are to be computed twice for the `needed` rows to fit.

        Of a sharded model all or none, by the formula: if memory ran out in one process, the others would wait for it
        for ever.
        """
        if self.is_sharded:
            return 0 if self.expected_tokens >= needed * self.passes.width else len(self.blocks)

        def peak(recomputed: int) -> float:
            self.blocks.recompute(recomputed)
            return self._peak(needed, meter)

        return fewest_recomputed(peak, len(self.blocks), meter.capacity)

    def _peak(self, rows: int, meter: Meter) -> float:
        """Bytes at the peak of the second pass over so many rows, when gradients are there; the most of any process.

        Raises:
            OutOfMemoryError: memory ran out, and the model is sharded: the other processes wait for this one, which has
                to end for them to end.
        """

        def work() -> None:
            self.passes.run(rows)
            self.passes.run(rows)

        peak = meter.peak(work, self.held)
        if self.is_sharded and math.isinf(peak):
            raise torch.OutOfMemoryError(f"a pass over {rows} × {self.passes.width} tokens does not fit")
        return self.group.largest(peak)
