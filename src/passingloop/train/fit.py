"""The training loop: one optimizer step after another, from any step on."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from lightning.fabric import Fabric

from passingloop.config.settings import RunConfig
from passingloop.data.order import BatchOrder, Indices
from passingloop.errors import Interrupted, NonFinite
from passingloop.preempt.stop import StopRequest
from passingloop.track.console import Progress as Bar
from passingloop.train.blame import blame
from passingloop.train.checkpoint import Progress
from passingloop.train.clock import Clock
from passingloop.train.layout import Layout
from passingloop.train.module import Batch
from passingloop.train.prefetch import ahead
from passingloop.train.schedule import learning_rate
from passingloop.train.world import World, reduced

Step = tuple[Indices, list[Batch]]
"""The examples of a step over all processes, and this process's micro-batches."""


@dataclass(kw_only=True)
class Fit:
    """The loop and what it works with. `record`, `validate` and `save` are called on every process."""

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
    validate: Callable[[int], None]
    save: Callable[[Progress], None]
    progress: Progress
    """How far the run has come."""
    bar: Bar = field(init=False)

    @property
    def total_steps(self) -> int:
        """Length of the run in optimizer steps."""
        trainer = self.config.trainer
        if trainer.steps is not None:
            return trainer.steps
        assert trainer.epochs is not None
        return max(1, round(trainer.epochs * self.order.steps_per_epoch))

    def run(self) -> None:
        """Train from `progress` to the end.

        Raises:
            Interrupted: the run was asked to stop, and has saved.
            NonFinite: a loss or gradient is NaN or infinite; the weights are those before the step.
        """
        earlier = self.progress.train_seconds
        self.module.train()
        self.stop.begin_steps()
        self.clock.begin_steps(self.progress.samples)
        for examples, batches in ahead(self._lay_out, self.progress.step, self.total_steps):
            loss, norm, stopping = self._step(self.progress.step, examples, batches)
            step = self._count(examples)
            self._report(step, loss, norm)
            if self._validation_due(step):
                self.validate(step)
            self.progress = dataclasses.replace(self.progress, train_seconds=earlier + self.clock.training)
            if stopping or self._saving_due(step):
                self.save(self.progress)
            if stopping and step < self.total_steps:
                raise Interrupted(
                    f"Stopped after step {step} of {self.total_steps}, and saved. The same command continues."
                )

    def _lay_out(self, k: int) -> Step:
        examples = self.order.step(k)
        return examples, self.layout.step(examples, self.world)

    def _step(self, k: int, examples: Indices, batches: list[Batch]) -> tuple[float, float, bool]:
        """One optimizer step: its mean loss, the gradient's norm, and whether any process was asked to stop."""
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(self.config.optim, k, self.total_steps)
        torch.manual_seed(randomness(self.config.trainer.seed, k, self.world.rank))
        local_loss = torch.zeros((), device=self.fabric.device)
        for number, batch in enumerate(batches, start=1):
            with self.fabric.no_backward_sync(self.module, enabled=number < len(batches)):
                loss = self.module.training_step(self.fabric.to_device(batch), number)
                self.fabric.backward(loss)
            local_loss += loss.detach()
        norm = self._clip()
        loss, stopping = self._agree(local_loss)
        if not (math.isfinite(loss) and math.isfinite(norm)):
            self.optimizer.zero_grad()
            raise NonFinite(blame(k, loss, norm, examples, self.module, self.layout, self.fabric))
        self.optimizer.step()
        self.optimizer.zero_grad()
        return loss, norm, stopping

    def _clip(self) -> float:
        """Scale the gradient down to `optim.grad_clip`; its 2-norm before that, the same on every process."""
        parameters = [p for p in self.module.parameters() if p.grad is not None]
        norm = torch.nn.utils.get_total_norm([p.grad for p in parameters])
        if self.config.optim.grad_clip is not None:
            torch.nn.utils.clip_grads_with_norm_(parameters, self.config.optim.grad_clip, norm)
        return float(norm)

    def _agree(self, local_loss: torch.Tensor) -> tuple[float, bool]:
        """The step's loss over all processes, and whether any of them was asked to stop: one small reduction."""
        asked = torch.full((), float(self.stop.requested is not None), device=self.fabric.device)
        loss, stopping = reduced(self.fabric, torch.stack([local_loss, asked]), "mean").tolist()
        return loss, stopping > 0

    def _count(self, examples: Indices) -> int:
        """Count a step that was done; how many there are now."""
        self.progress = dataclasses.replace(
            self.progress,
            step=self.progress.step + 1,
            samples=self.progress.samples + len(examples),
            tokens=self.progress.tokens + int(self.layout.tokens.lengths[examples].sum()),
        )
        return self.progress.step

    def _report(self, step: int, loss: float, norm: float) -> None:
        rate = self.clock.rate(self.progress.samples)
        self.bar.update(step, loss, rate)
        if step % self.config.trainer.log_every == 0 or step == self.total_steps:
            lr = learning_rate(self.config.optim, step - 1, self.total_steps)
            values = {"loss": loss, "grad_norm": norm, "lr": lr, "samples_per_second": rate}
            self.record(step, "train", values | {"epoch": step / self.order.steps_per_epoch})

    def _validation_due(self, step: int) -> bool:
        every = self.config.trainer.eval_every
        return self._ends_epoch(step) if every == "epoch" else step % every == 0

    def _saving_due(self, step: int) -> bool:
        every = self.config.checkpoint.every_steps
        return self._ends_epoch(step) or (every is not None and step % every == 0) or self._minutes_due()

    def _minutes_due(self) -> bool:
        minutes = self.config.checkpoint.every_minutes
        return minutes is not None and self.clock.unsaved > 60 * minutes

    def _ends_epoch(self, step: int) -> bool:
        return step % self.order.steps_per_epoch == 0 or step == self.total_steps


def randomness(seed: int, k: int, rank: int) -> int:
    """The seed of all random numbers that process `rank` draws in step `k`: dropout repeats when a step does."""
    return int(np.random.SeedSequence([seed, k, rank]).generate_state(1, np.uint64)[0] >> np.uint64(1))
