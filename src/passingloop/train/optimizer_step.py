"""One optimizer step: what is queued on the device, in order."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from lightning.fabric import Fabric

from passingloop.config.settings import RunConfig
from passingloop.model.strategy import Sharing, unreduced_gradients
from passingloop.preempt.signals import StopRequest
from passingloop.rundir.fence import Fence
from passingloop.train.checkpoints.saver import Saver
from passingloop.train.module import Batch
from passingloop.train.optim.optimizer import learning_rate
from passingloop.train.world import all_reduce
from passingloop.vitals.marks import MARKS


@dataclass(kw_only=True)
class OptimizerStep:
    """The steps of one process, one after another."""

    config: RunConfig
    rank: int
    total_steps: int
    """Length of the run."""
    fabric: Fabric
    module: Any
    optimizer: Any
    sharing: Sharing
    stop: StopRequest
    fence: Fence
    saver: Saver | None
    """None on processes that write no checkpoints."""
    _began: float = field(init=False, default_factory=time.perf_counter)

    def __post_init__(self) -> None:
        self._skip = torch.zeros((), device=self.fabric.device)

    def queue(self, k: int, batches: list[Batch]) -> torch.Tensor:
        """Queue step `k` (from 0) with this process's micro-batches on the device.

        Returns its numbers, which may not have been computed yet: loss; whether to stop; whether to save; seconds that
        the step before took; norm of the gradient. All but the last are means over the processes.

        In order:

        1. Learning rate and random state are set from k alone, so that a resumed run has the same.
        2. Each micro-batch goes forward and backward. Losses are divided by the labels of the whole step, so gradients
           add up to those of the global batch. They are averaged once, in the last micro-batch; those of a sharded
           model in every one, if memory has no room for them while they are whole.
        3. The gradient's norm is computed and the gradient is clipped.
        4. One small all-reduce (`_reduce_step`) tells every process the loss and what any process asks for. It also
           decides on the device whether this update, and every later one until the host has read that, is skipped.
        5. The optimizer waits, on the device, for a copy of the weights that a checkpoint is still taking.
        6. The weights are updated.

        Nothing here waits for the device.
        """
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(self.config.optim, k, self.total_steps)
        torch.manual_seed(randomness(self.config.trainer.seed, k, self.rank))
        MARKS.enter("in the forward pass", "marks", k + 1)
        local_loss = torch.zeros((), device=self.fabric.device)
        for number, batch in enumerate(batches, start=1):
            with self._gradient_sync(number < len(batches)):
                loss = self.module.training_step(self.fabric.to_device(batch), number)
                if number == len(batches):  # in which the processes average their gradients
                    MARKS.enter("in the backward pass", "marks")
                self.fabric.backward(loss)
            MARKS.sign()
            local_loss += loss.detach()
        MARKS.enter("exchanging the numbers of the step", "marks")
        numbers = self._reduce_step(local_loss, self._clip())
        if self.saver:
            self.saver.before_update()
        self.optimizer.step()
        self.optimizer.zero_grad()
        return numbers

    def _gradient_sync(self, waits: bool) -> AbstractContextManager[None]:
        """A context in which gradients are not exchanged if the step `waits` for more micro-batches."""
        if not waits:
            return nullcontext()
        if not self.sharing.is_sharded:
            return self.fabric.no_backward_sync(self.module)
        return unreduced_gradients(self.module.model) if self.sharing.keeps_gradients else nullcontext()

    def _clip(self) -> torch.Tensor:
        """Have the optimizer scale the gradient down to `optim.grad_clip`; its 2-norm before that, the same on every
        process."""
        trained = [p for p in self.module.parameters() if p.grad is not None]
        for parameter in trained:
            if parameter.grad.is_sparse:  # so that the optimizer need not do it again
                parameter.grad = parameter.grad.coalesce()
        norm = total_norm([p.grad for p in trained])
        if self.config.optim.grad_clip is not None:
            self.optimizer.optimizer.divide_gradients((norm / self.config.optim.grad_clip).clamp(min=1.0))
        return norm

    def _reduce_step(self, local_loss: torch.Tensor, norm: torch.Tensor) -> torch.Tensor:
        """The numbers of the step, in one small reduction; decides whether the update is skipped.

        The decision is kept for later steps: the host learns of a step that is not finite only after the next one is
        queued, which must not change the weights either.
        """
        now = time.perf_counter()
        to_stop = self.stop.requested is not None or self.fence.is_superseded()
        to_save = self.saver is not None and self.saver.is_due
        # Each is written by a kernel that has it as an argument. A tensor that is made on the host would be copied
        # from memory which the device cannot read by itself: then torch waits for all that is queued.
        own = [local_loss.new_full((), float(value)) for value in (to_stop, to_save, now - self._began)]
        self._began = now
        numbers = torch.cat([all_reduce(self.fabric, torch.stack([local_loss, *own]), "mean"), norm[None]])
        non_finite = ~(numbers[0].isfinite() & norm.isfinite())
        self._skip = torch.maximum(self._skip, non_finite.float())
        self.optimizer.optimizer.skip_updates(self._skip)
        return numbers


def total_norm(gradients: Sequence[torch.Tensor]) -> torch.Tensor:
    """2-norm over `gradients`, sharded or not: the same number on every process."""
    norm = torch.nn.utils.get_total_norm([g.coalesce().values() if g.is_sparse else g for g in gradients])
    whole: torch.Tensor = norm.full_tensor() if hasattr(norm, "full_tensor") else norm
    return whole


def randomness(seed: int, k: int, rank: int) -> int:
    """The seed of all random numbers that process `rank` draws in step `k`: dropout repeats when a step does."""
    return int(np.random.SeedSequence([seed, k, rank]).generate_state(1, np.uint64)[0] >> np.uint64(1))
