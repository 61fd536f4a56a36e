"""Optimizers: what training asks of them, how they are made, how an update is skipped; the learning rate of a step.

Each optimizer's settings, state and update stand in a file of their own beside this one:
docs/how-to/add-an-optimizer.md.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor
from torch.nn import Parameter

from passingloop.config.settings import OptimConfig
from passingloop.model.meta_tensors import MetaShortcuts
from passingloop.train.optim.adamw import AdamW
from passingloop.train.optim.embedding_rows import EmbeddingRows
from passingloop.train.optim.rule import Share, UpdateRule, is_sharded

VECTOR = 16
"""Numbers in the largest vector of a CPU, of 512 bits."""


class Optimizer(torch.optim.Optimizer):
    """What training and checkpoints ask of an optimizer, besides torch's own interface."""

    settings: OptimConfig

    def skip_updates(self, skip: Tensor) -> None:
        """From now on `step` changes neither weights nor state while `skip`, a float on the device, is 1.

        The decision stays on the device: `step` must not wait for it.
        """
        raise NotImplementedError  # no ABC: torch's optimizers are not made for one

    def divide_gradients(self, divisor: Tensor) -> None:
        """The next `step` divides all gradients by `divisor`, a float on the device."""
        raise NotImplementedError

    def apply_deferred(self) -> None:
        """Bring all weights and states up to date, before they are read: `step` may have left something to do."""


class FusedAdamW(Optimizer, torch.optim.AdamW):
    """torch's fused AdamW, and the same for embeddings with sparse gradients."""

    def __init__(self, groups: list[dict[str, Any]], settings: AdamW) -> None:
        first, second = settings.betas
        super().__init__(groups, lr=settings.lr, betas=(first, second), eps=settings.eps, fused=True)
        self.settings = settings
        self._rows: dict[Tensor, EmbeddingRows] = {}

    def skip_updates(self, skip: Tensor) -> None:
        # The fused kernel reads these attributes on the device; torch's gradient scaler uses the same
        # (torch/amp/grad_scaler.py, _maybe_opt_step).
        self.found_inf = skip

    def divide_gradients(self, divisor: Tensor) -> None:
        self.grad_scale = divisor

    def watch_rows(self, embedding: torch.nn.Embedding) -> None:
        """Give the weight of `embedding`, on a CPU, sparse gradients, and update only the rows that have occurred.

        Nothing is changed if its rows do not consist of whole vectors: the fused kernel rounds the rest of a vector
        otherwise.
        """
        if embedding.embedding_dim % VECTOR:
            return
        embedding.sparse = True
        embedding.register_forward_pre_hook(self._touch_rows)

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        sparse: list[tuple[dict[str, Any], Parameter, Tensor]] = []
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None and parameter.grad.is_sparse:
                    sparse.append((group, parameter, parameter.grad))
                    parameter.grad = None
        super().step()
        if not self._skips():
            for group, parameter, gradient in sparse:
                self._rows_of(parameter).step(gradient.coalesce(), group, getattr(self, "grad_scale", None))
        # Fused kernels do not count their changes.
        torch.autograd.graph.increment_version([p for group in self.param_groups for p in group["params"]])

    def apply_deferred(self) -> None:
        for rows in self._rows.values():
            rows.apply_deferred()

    def _skips(self) -> bool:
        """Whether the update is skipped. On a CPU only, as it reads what is decided on the device."""
        return bool(self._rows) and bool(getattr(self, "found_inf", False))

    def _touch_rows(self, embedding: torch.nn.Embedding, inputs: tuple[Tensor, ...]) -> None:
        if embedding.training:
            self._rows_of(embedding.weight).touch(inputs[0])

    def _rows_of(self, weight: Tensor) -> EmbeddingRows:
        if weight not in self._rows:
            if not self.state[weight]:
                self.state[weight].update(self.settings.blank_state(weight))
            self._rows[weight] = EmbeddingRows(weight, self.state[weight])
        return self._rows[weight]


class GuardedOptimizer(Optimizer):
    """The update of one parameter made an optimizer. Skipping, sharding and state are done here.

    To skip without waiting for the device, each update is computed and then replaced by the values before it. That
    takes a copy of one parameter and its state at a time.
    """

    settings: UpdateRule

    def __init__(self, groups: list[dict[str, Any]], settings: UpdateRule) -> None:
        super().__init__(groups, {"lr": settings.lr})
        self.settings = settings
        self._skip: Tensor | None = None
        self._divisor: Tensor | None = None

    def skip_updates(self, skip: Tensor) -> None:
        self._skip = skip

    def divide_gradients(self, divisor: Tensor) -> None:
        self._divisor = divisor

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    if self._divisor is not None:
                        local(parameter.grad).div_(self._divisor)
                    self._step(parameter, parameter.grad, group["lr"], group["weight_decay"])

    def _step(self, parameter: Parameter, gradient: Tensor, lr: float, weight_decay: float) -> None:
        state = self.state[parameter]
        if not state:
            state.update(self.settings.blank_state(parameter))
        share = Share(
            values=local(parameter),
            gradient=local(gradient),
            state={name: local(tensor) for name, tensor in state.items()},
            whole=parameter,
        )
        changed = [share.values, *share.state.values()]
        before = [tensor.clone() for tensor in changed] if self._skip is not None else []
        self.settings.update(share, lr, weight_decay)
        if self._skip is not None:
            for now, then in zip(changed, before, strict=True):
                now.copy_(torch.where(self._skip > 0, then, now))


def make_optimizer(config: OptimConfig, parameters: Iterable[Parameter]) -> Optimizer:
    """The optimizer for those of `parameters` that are trained.

    Norms and biases, the parameters with fewer than two dimensions, get no weight decay.
    """
    trained = [parameter for parameter in parameters if parameter.requires_grad]
    groups = [
        {"params": [p for p in trained if p.ndim >= 2], "weight_decay": config.weight_decay},
        {"params": [p for p in trained if p.ndim < 2], "weight_decay": 0.0},
    ]
    groups = [group for group in groups if group["params"]]
    if isinstance(config, UpdateRule):
        return GuardedOptimizer(groups, config)
    assert isinstance(config, AdamW), "every other optimizer is an UpdateRule"
    return FusedAdamW(groups, config)


def state_bytes(config: OptimConfig, parameters: Iterable[Parameter]) -> int:
    """Bytes of state for `parameters`, counts of steps left out."""
    total = 0
    for parameter in parameters:
        if parameter.requires_grad:
            with MetaShortcuts():
                state = config.blank_state(torch.empty(parameter.shape, device="meta"))
            total += sum(4 * tensor.numel() for name, tensor in state.items() if name != "step")
    return total


def local(tensor: Tensor) -> Tensor:
    """What of `tensor` this process has."""
    part: Tensor = tensor.to_local() if is_sharded(tensor) else tensor  # type: ignore[attr-defined]
    return part


def warmup_steps(optim: OptimConfig, total_steps: int) -> int:
    """`optim.warmup` in steps: below 1 it is a fraction of all steps."""
    steps = optim.warmup * total_steps if optim.warmup < 1 else optim.warmup
    return min(round(steps), total_steps)


def learning_rate(optim: OptimConfig, step: int, total_steps: int) -> float:
    """Learning rate of step `step` (from 0) of `total_steps`: a function of the step, so nothing of it is saved.

    Rises linearly over the warm-up to `optim.lr`, which the step after it has; then falls towards zero, which the step
    after the last would have.
    """
    warmup = warmup_steps(optim, total_steps)
    if step < warmup:
        return optim.lr * (step + 1) / (warmup + 1)
    progress = (step - warmup) / max(1, total_steps - warmup)
    falling = {
        "constant": 1.0,
        "linear": 1.0 - progress,
        "cosine": 0.5 * (1.0 + math.cos(math.pi * progress)),
    }
    return optim.lr * falling[optim.schedule]
