"""The training loop: one optimizer step after another, from any step on."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from lightning.fabric import Fabric

from passingloop.config.settings import RunConfig
from passingloop.data.examples.order import BatchOrder
from passingloop.data.examples.permutation import Indices
from passingloop.errors import Interrupted, NonFinite
from passingloop.handoff import World
from passingloop.model.strategy import Sharing
from passingloop.preempt.signals import StopRequest
from passingloop.rundir.fence import Fence
from passingloop.startup.phases import Display as Bar
from passingloop.track.speed import Speed
from passingloop.train.checkpoints.format import Progress
from passingloop.train.checkpoints.saver import Saver
from passingloop.train.ending.failures import non_finite_message
from passingloop.train.layout import Layout
from passingloop.train.meters.clock import Clock
from passingloop.train.meters.heartbeat import Heartbeat
from passingloop.train.meters.tally import Meter
from passingloop.train.module import Batch
from passingloop.train.optim.optimizer import learning_rate
from passingloop.train.optimizer_step import OptimizerStep
from passingloop.train.overlap import HostCopy, ahead, pinned
from passingloop.vitals.marks import MARKS

Step = tuple[Indices, list[Batch]]
"""The examples of a step over all processes, and this process's micro-batches."""

LONG = 0.5
"""Seconds. The numbers of a step this long are read at once: compared with it the wait costs nothing. Those of a
shorter step are read a step later, so that the device always has work."""


@dataclass(frozen=True, slots=True)
class Launched:
    """An optimizer step whose work is queued on the device; its numbers may not have been computed yet."""

    step: int
    """Steps done, this one included."""
    examples: Indices
    speed: Speed
    """Over the last steps."""
    numbers: HostCopy
    """Loss; whether to stop; whether to save; seconds that the step before took; norm of the gradient. All but the
    last are means over the processes."""


@dataclass(frozen=True, slots=True)
class Requests:
    """What the processes have agreed on: that any of them was asked to stop, that the first wants to save."""

    to_stop: bool = False
    to_save: bool = False

    def __or__(self, other: Requests) -> Requests:
        return Requests(self.to_stop or other.to_stop, self.to_save or other.to_save)


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
    sharing: Sharing
    clock: Clock
    meter: Meter
    stop: StopRequest
    fence: Fence
    record: Callable[[int, str, dict[str, float]], None]
    validate: Callable[[int], float | None] | None
    """The loss; None if it was given up, because the run is to stop. None in its place: there is nothing to validate
    on."""
    heartbeat: Heartbeat | None
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

    @property
    def last_step(self) -> int:
        """The step at which training ends or, by `trainer.pause_at`, pauses."""
        share = self.config.trainer.pause_at
        return self.total_steps if share is None else max(1, round(share * self.total_steps))

    def run(self) -> None:
        """Train from `progress` to `last_step`. The last checkpoint may still be being written when it returns.

        The host runs at most one step ahead of the device. Step k is queued first, and only then are the numbers of
        step k - 1 read: so the device has work while the host waits, reports and lays out the next batch. Where that
        gains nothing (steps longer than `LONG`) or the weights are to be used next (validation, checkpoint, stop), the
        numbers of step k are read at once. What the processes do between steps depends only on numbers that are
        reduced over all of them, so all take the same branch.

        Raises:
            Interrupted: the run was asked to stop, and has saved.
            Superseded: a newer attempt at the run has started; nothing is saved.
            NonFinite: a loss or gradient is NaN or infinite; the weights are those before the step.
            NotSaved: nothing could be saved for too long.
        """
        self._earlier = self.progress.train_seconds
        self._long = True
        self._optimizer_step = OptimizerStep(
            config=self.config,
            rank=self.world.rank,
            total_steps=self.total_steps,
            fabric=self.fabric,
            module=self.module,
            optimizer=self.optimizer,
            sharing=self.sharing,
            stop=self.stop,
            fence=self.fence,
            saver=self.saver,
        )
        self.module.train()
        self.stop.begin_steps()
        self.clock.begin_steps()
        if self._validation_is_owed():
            self._pause(self.progress.step, Requests())
        unread: Launched | None = None
        steps = ahead(map(self._lay_out, range(self.progress.step, self.last_step)))

        def is_idle() -> bool:
            return unread is None or unread.numbers.is_there

        for examples, batches in self.clock.waiting(steps, is_idle):
            launched = self._step(self.progress.step, examples, batches)
            requests = self._read(unread) if unread else Requests()
            unread = launched
            if self._long or requests != Requests() or self._pause_is_due(launched.step):
                # Also before every pause: a step that is not finite must end the run before it is saved.
                requests |= self._read(launched)
                unread = None
            if requests != Requests() or self._pause_is_due(launched.step):
                self._pause(launched.step, requests)
            if self.saver:
                self.saver.check_result()
            MARKS.enter("laying out the next step", "marks")
        self.progress = dataclasses.replace(self.progress, tally=self.meter.total)

    def _lay_out(self, k: int) -> Step:
        examples = self.order.step(k)
        return examples, [pinned(batch, self.fabric.device) for batch in self.layout.step(examples, self.world)]

    def _step(self, k: int, examples: Indices, batches: list[Batch]) -> Launched:
        """Queue optimizer step `k` (from 0) on the device, and count it as done."""
        shapes = (batch["inputs"]["input_ids"].shape for batch in batches)
        self.shape = max(((rows, width) for rows, width in shapes), key=math.prod)
        numbers = self._optimizer_step.queue(k, batches)
        self._count(examples, batches)
        return Launched(self.progress.step, examples, self.meter.recent, HostCopy(numbers))

    def _count(self, examples: Indices, batches: list[Batch]) -> None:
        lengths = self.layout.tokens.lengths[examples]
        self.meter.count(lengths, *self.layout.filling(batches))
        self.progress = dataclasses.replace(
            self.progress,
            step=self.progress.step + 1,
            samples=self.progress.samples + len(examples),
            tokens=self.progress.tokens + int(lengths.sum()),
            train_seconds=self._earlier + self.clock.training,
            validation_loss=None,
        )

    def _read(self, launched: Launched) -> Requests:
        """Wait for the numbers of a step, report them, and return what the processes ask for.

        Raises:
            NonFinite: its loss or gradient is not finite, so its update was skipped.
        """
        MARKS.enter("waiting for the device", "marks")
        loss, stop, save, seconds, norm = launched.numbers.read()
        if not (math.isfinite(loss) and math.isfinite(norm)):
            self.progress = dataclasses.replace(self.progress, step=launched.step - 1)
            culprits = (launched.examples, self.module, self.layout, self.fabric)
            raise NonFinite(non_finite_message(launched.step - 1, loss, norm, *culprits))
        self._long = seconds > LONG
        self._report(launched, loss, norm)
        return Requests(stop > 0, save > 0)

    def _report(self, launched: Launched, loss: float, norm: float) -> None:
        step = launched.step
        self.bar.update(step, loss, launched.speed)
        self._beat()
        if step % self.config.trainer.log_every == 0 or step == self.last_step:
            lr = learning_rate(self.config.optim, step - 1, self.total_steps)
            speed = dataclasses.replace(launched.speed, peak_memory=self.meter.peak_memory)
            values = {"loss": loss, "grad_norm": norm, "lr": lr, "epoch": step / self.order.steps_per_epoch}
            self.record(step, "train", values | speed.known())

    def _beat(self) -> None:
        if self.heartbeat and self.saver:
            self.heartbeat.beat(self.progress.step, self.saver)

    def _pause_is_due(self, step: int) -> bool:
        """Whether after `step` something is to be done with the weights, of which all processes know."""
        return self._validation_due(step) or self._saving_due(step)

    def _pause(self, step: int, requests: Requests) -> None:
        """Between two steps: validate, then save, then stop; each if it is due. All processes call it together.

        Validation comes first, so that the checkpoint has its loss and is kept if it is the best. If the run is to
        stop, validation is left out and the next attempt makes up for it (`_validation_is_owed`): the time until the
        kill may be short. A checkpoint is only begun here; a thread writes it while training goes on. Before stopping
        it is waited for.

        Raises:
            Interrupted: the run was asked to stop, and has saved.
        """
        if requests.to_stop:
            self.fence.check()
        self.optimizer.optimizer.apply_deferred()
        better = False
        if self._validation_due(step) and not requests.to_stop:
            loss = self.validate(step) if self.validate else None
            requests |= Requests(to_stop=loss is None)
            better = loss is not None and loss < self.best and self.config.checkpoint.keep_best
            self.best = min(self.best, math.inf if loss is None else loss)
            self.progress = dataclasses.replace(self.progress, validation_loss=loss)
        if better or requests != Requests() or self._saving_due(step):
            self.save()
        if requests.to_stop:
            self._end_training(step)

    def save(self) -> None:
        """Begin a checkpoint, on processes that write one. Raises as `Saver.begin` does."""
        MARKS.enter("saving", "bytes")
        spent = self._earlier + self.clock.training
        self.progress = dataclasses.replace(self.progress, train_seconds=spent, tally=self.meter.total)
        if self.saver:
            self.saver.begin(self.progress)

    def finish_saving(self) -> None:
        """Wait until the last checkpoint is written; if it could not be, try once more, as nothing is left to train."""
        if self.saver:
            self.saver.finish()
            if self.saver.saved_step < self.progress.step:
                self.save()
                self.saver.finish()

    def _end_training(self, step: int) -> None:
        kept = step
        if self.saver:
            self.saver.finish()
            kept = self.saver.saved_step
        if step < self.total_steps:
            saved = "and saved" if kept == step else f"and could save nothing newer than step {kept}"
            raise Interrupted(f"Stopped after step {step} of {self.total_steps}, {saved}. The same command continues.")

    def _saving_due(self, step: int) -> bool:
        every = self.config.checkpoint.every_steps
        return step == self.last_step or self._ends_epoch(step) or (every is not None and step % every == 0)

    def _validation_due(self, step: int) -> bool:
        every = self.config.trainer.eval_every
        if self.validate is None:
            return False
        return step == self.last_step or (self._ends_epoch(step) if every == "epoch" else step % every == 0)

    def _validation_is_owed(self) -> bool:
        """Whether the attempt before was stopped in the middle of a validation, or before it."""
        step, progress = self.progress.step, self.progress
        return 0 < step < self.total_steps and self._validation_due(step) and progress.validation_loss is None

    def _ends_epoch(self, step: int) -> bool:
        return step % self.order.steps_per_epoch == 0 or step == self.total_steps
