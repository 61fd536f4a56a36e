"""The training loop: one optimizer step after another, from any step on."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from lightning.fabric import Fabric

from passingloop.config.settings import RunConfig
from passingloop.data.examples.order import BatchOrder
from passingloop.data.examples.permutation import Indices
from passingloop.errors import Interrupted, NonFinite
from passingloop.preempt.signals import StopRequest
from passingloop.track.console import Progress as Bar
from passingloop.train.checkpoints.format import Progress
from passingloop.train.checkpoints.saver import Saver
from passingloop.train.clock import Clock
from passingloop.train.heartbeat import Watch
from passingloop.train.layout import Layout
from passingloop.train.module import Batch
from passingloop.train.non_finite import blame
from passingloop.train.optim import learning_rate
from passingloop.train.prefetch import ahead
from passingloop.train.reading import Reading
from passingloop.train.world import World, reduced

Step = tuple[Indices, list[Batch]]
"""The examples of a step over all processes, and this process's micro-batches."""

LONG = 0.5
"""Seconds. What a step of this length has computed is read at once, since waiting for it costs nothing then; of a
shorter one it is read a step later, so that the device never runs dry."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """A step that the device has been told to do."""

    step: int
    """Steps done with it."""
    examples: Indices
    rate: float
    """Samples per second."""
    numbers: Reading
    """Loss; whether to stop; whether to save; seconds that the step before took; norm of the gradient. All but the
    last are means over the processes."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What the processes have agreed on: that any of them was asked to stop, that the first wants to save."""

    to_stop: bool = False
    to_save: bool = False

    def __or__(self, other: Asked) -> Asked:
        return Asked(self.to_stop or other.to_stop, self.to_save or other.to_save)


@dataclass(kw_only=True)
class Fit:
    """The loop and what it works with. `record` and `validate` are called on every process."""

    config: RunConfig
    world: World
    fabric: Fabric
    module: Any
    optimizer: Any
    order: BatchOrder
    layout: Layout
    clock: Clock
    stop: StopRequest
    record: Callable[[int, str, dict[str, float]], None]
    validate: Callable[[int], float | None] | None
    """The loss; None if it was given up, because the run is to stop. None in its place: there is nothing to validate
    on."""
    watch: Watch | None
    """None on all processes but the first."""
    saver: Saver | None
    """None on processes that write no checkpoints."""
    progress: Progress
    """How far the run has come."""
    best: float = math.inf
    """The lowest validation loss so far, of those that a checkpoint has."""
    bar: Bar = field(init=False)
    shape: tuple[int, int] = field(init=False, default=(0, 0))
    """Rows, and tokens in each, of the largest micro-batch of the step that is being done."""

    @property
    def total_steps(self) -> int:
        """Length of the run in optimizer steps."""
        trainer = self.config.trainer
        if trainer.steps is not None:
            return trainer.steps
        assert trainer.epochs is not None
        return max(1, round(trainer.epochs * self.order.steps_per_epoch))

    def run(self) -> None:
        """Train from `progress` to the end, of which the last state is still on its way to the disk.

        Raises:
            Interrupted: the run was asked to stop, and has saved.
            NonFinite: a loss or gradient is NaN or infinite; the weights are those before the step.
            NotSaved: nothing could be saved for too long.
        """
        self._earlier = self.progress.train_seconds
        self._skip = torch.zeros((), device=self.fabric.device)
        self._long, self._step_began = True, time.perf_counter()
        self.module.train()
        self.stop.begin_steps()
        self.clock.begin_steps(self.progress.samples)
        if self._validation_is_owed():
            self._pause(self.progress.step, Asked())
        last: Outcome | None = None
        for examples, batches in ahead(self._lay_out, self.progress.step, self.total_steps):
            done = self._step(self.progress.step, examples, batches)
            asked = self._read(last) if last else Asked()
            last = done
            if self._long or asked != Asked() or self._pause_is_due(done.step):
                asked |= self._read(last)
                last = None
            if asked != Asked() or self._pause_is_due(done.step):
                self._pause(done.step, asked)
            if self.saver:
                self.saver.look()

    def _lay_out(self, k: int) -> Step:
        examples = self.order.step(k)
        return examples, self.layout.step(examples, self.world)

    def _step(self, k: int, examples: Indices, batches: list[Batch]) -> Outcome:
        """Tell the device to do an optimizer step, and count it as done.

        If the loss or the gradient turns out not to be finite, the device leaves out this update and all that follow,
        until that is read.
        """
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(self.config.optim, k, self.total_steps)
        torch.manual_seed(randomness(self.config.trainer.seed, k, self.world.rank))
        shapes = (batch["inputs"]["input_ids"].shape for batch in batches)
        self.shape = max(((rows, width) for rows, width in shapes), key=math.prod)
        local_loss = torch.zeros((), device=self.fabric.device)
        for number, batch in enumerate(batches, start=1):
            with self._apart(number < len(batches)):
                loss = self.module.training_step(self.fabric.to_device(batch), number)
                self.fabric.backward(loss)
            local_loss += loss.detach()
        numbers = self._agree(local_loss, self._clip())
        if self.saver:
            self.saver.before_update()
        self.optimizer.step()
        self.optimizer.zero_grad()
        self._count(examples)
        return Outcome(self.progress.step, examples, self.clock.rate(self.progress.samples), Reading(numbers))

    def _apart(self, waits: bool) -> AbstractContextManager[None]:
        """Within it, if it `waits` for more micro-batches, gradients are not averaged yet, unless they are sharded."""
        return nullcontext() if self.layout.even else self.fabric.no_backward_sync(self.module, enabled=waits)

    def _clip(self) -> torch.Tensor:
        """Scale the gradient down to `optim.grad_clip`; its 2-norm before that, the same on every process."""
        parameters = [p for p in self.module.parameters() if p.grad is not None]
        norm = total_norm([p.grad for p in parameters])
        if self.config.optim.grad_clip is not None:
            torch.nn.utils.clip_grads_with_norm_(parameters, self.config.optim.grad_clip, norm)
        return norm

    def _agree(self, local_loss: torch.Tensor, norm: torch.Tensor) -> torch.Tensor:
        """The numbers of an `Outcome`, in one small reduction, and whether the update is to be left out."""
        now = time.perf_counter()
        mine = [
            float(self.stop.requested is not None),
            float(self.saver is not None and self.saver.is_due),
            now - self._step_began,
        ]
        self._step_began = now
        told = torch.tensor(mine, device=self.fabric.device)
        numbers = torch.cat([reduced(self.fabric, torch.cat([local_loss[None], told]), "mean"), norm[None]])
        broken = ~(numbers[0].isfinite() & norm.isfinite())
        self._skip = torch.maximum(self._skip, broken.float())
        self.optimizer.optimizer.skip_updates(self._skip)
        return numbers

    def _count(self, examples: Indices) -> None:
        self.progress = dataclasses.replace(
            self.progress,
            step=self.progress.step + 1,
            samples=self.progress.samples + len(examples),
            tokens=self.progress.tokens + int(self.layout.tokens.lengths[examples].sum()),
            train_seconds=self._earlier + self.clock.training,
            validation_loss=None,
        )

    def _read(self, outcome: Outcome) -> Asked:
        """Report a step, and see what is asked for.

        Raises:
            NonFinite: it was left out, as its loss or gradient is not finite.
        """
        loss, stop, save, seconds, norm = outcome.numbers.read()
        if not (math.isfinite(loss) and math.isfinite(norm)):
            self.progress = dataclasses.replace(self.progress, step=outcome.step - 1)
            told = (outcome.examples, self.module, self.layout, self.fabric)
            raise NonFinite(blame(outcome.step - 1, loss, norm, *told))
        self._long = seconds > LONG
        self._report(outcome, loss, norm)
        return Asked(stop > 0, save > 0)

    def _report(self, outcome: Outcome, loss: float, norm: float) -> None:
        step = outcome.step
        self.bar.update(step, loss, outcome.rate)
        self._beat()
        if step % self.config.trainer.log_every == 0 or step == self.total_steps:
            lr = learning_rate(self.config.optim, step - 1, self.total_steps)
            values = {"loss": loss, "grad_norm": norm, "lr": lr, "samples_per_second": outcome.rate}
            self.record(step, "train", values | {"epoch": step / self.order.steps_per_epoch})

    def _beat(self) -> None:
        if self.watch and self.saver:
            self.watch.beat(self.progress.step, self.saver)

    def _pause_is_due(self, step: int) -> bool:
        """Whether after `step` something is to be done with the weights, of which all processes know."""
        return self._validation_due(step) or self._saving_due(step)

    def _pause(self, step: int, asked: Asked) -> None:
        """Between two steps: validate, save, stop; each if it is due.

        Raises:
            Interrupted: the run was asked to stop, and has saved.
        """
        better = False
        if self._validation_due(step) and not asked.to_stop:
            loss = self.validate(step) if self.validate else None
            asked |= Asked(to_stop=loss is None)
            better = loss is not None and loss < self.best and self.config.checkpoint.keep_best
            self.best = min(self.best, math.inf if loss is None else loss)
            self.progress = dataclasses.replace(self.progress, validation_loss=loss)
        if self.saver and (better or asked != Asked() or self._saving_due(step)):
            self.saver.begin(dataclasses.replace(self.progress, train_seconds=self._earlier + self.clock.training))
        if asked.to_stop:
            self._leave(step)

    def _leave(self, step: int) -> None:
        kept = step
        if self.saver:
            self.saver.finish()
            kept = self.saver.saved_step
        if step < self.total_steps:
            saved = "and saved" if kept == step else f"and could save nothing newer than step {kept}"
            raise Interrupted(f"Stopped after step {step} of {self.total_steps}, {saved}. The same command continues.")

    def _saving_due(self, step: int) -> bool:
        every = self.config.checkpoint.every_steps
        return self._ends_epoch(step) or (every is not None and step % every == 0)

    def _validation_due(self, step: int) -> bool:
        every = self.config.trainer.eval_every
        return self.validate is not None and (self._ends_epoch(step) if every == "epoch" else step % every == 0)

    def _validation_is_owed(self) -> bool:
        """Whether the attempt before was stopped in the middle of a validation, or before it."""
        step, progress = self.progress.step, self.progress
        return 0 < step < self.total_steps and self._validation_due(step) and progress.validation_loss is None

    def _ends_epoch(self, step: int) -> bool:
        return step % self.order.steps_per_epoch == 0 or step == self.total_steps


def total_norm(gradients: Sequence[torch.Tensor]) -> torch.Tensor:
    """2-norm over `gradients`, sharded or not: the same number on every process."""
    norm = torch.nn.utils.get_total_norm(gradients)
    whole: torch.Tensor = norm.full_tensor() if hasattr(norm, "full_tensor") else norm
    return whole


def randomness(seed: int, k: int, rank: int) -> int:
    """The seed of all random numbers that process `rank` draws in step `k`: dropout repeats when a step does."""
    return int(np.random.SeedSequence([seed, k, rank]).generate_state(1, np.uint64)[0] >> np.uint64(1))
