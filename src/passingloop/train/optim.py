"""Optimizers: construction, learning-rate schedule, state, and how an update is skipped.

`KINDS` names the optimizer of each settings class. A new optimizer is a class here and a settings class in
`passingloop.config.settings`: docs/how-to/add-an-optimizer.md.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import Parameter

from passingloop.config.settings import AdafactorConfig, AdamWConfig, AnyOptim

State = dict[str, Tensor]
"""The state of one parameter by name. A checkpoint holds these tensors; nothing else of an optimizer is saved."""


class Optimizer(torch.optim.Optimizer):
    """What training and checkpoints ask of an optimizer, besides torch's own interface."""

    @abstractmethod
    def skip_updates(self, skip: Tensor) -> None:
        """From now on `step` changes neither weights nor state while `skip`, a float on the device, is 1.

        The decision stays on the device: `step` must not wait for it.
        """

    @staticmethod
    @abstractmethod
    def blank_state(parameter: Tensor) -> State:
        """The state of `parameter` before its first update, sharded as `parameter` is."""


class AdamW(Optimizer, torch.optim.AdamW):
    """torch's fused AdamW."""

    def __init__(self, groups: list[dict[str, Any]], config: AdamWConfig) -> None:
        first, second = config.betas
        super().__init__(groups, lr=config.lr, betas=(first, second), eps=config.eps, fused=True)

    def skip_updates(self, skip: Tensor) -> None:
        # The fused kernel reads it on the device; torch's gradient scaler uses the same attribute
        # (torch/amp/grad_scaler.py, _maybe_opt_step).
        self.found_inf = skip

    @staticmethod
    def blank_state(parameter: Tensor) -> State:
        return {
            "step": torch.zeros((), device=parameter.device),
            "exp_avg": torch.zeros_like(parameter, requires_grad=False),
            "exp_avg_sq": torch.zeros_like(parameter, requires_grad=False),
        }


@dataclass(frozen=True, kw_only=True, slots=True)
class Share:
    """What this process has of one parameter: all of it, or under FSDP2 a block of its first dimension."""

    values: Tensor
    gradient: Tensor
    state: State
    whole: Tensor
    """The parameter itself: its shape is that of the whole."""

    def total(self, part: Tensor) -> Tensor:
        """The sum of `part` over all processes that share the parameter."""
        if is_sharded(self.whole):
            torch.distributed.all_reduce(part, group=self.whole.device_mesh.get_group())  # type: ignore[attr-defined]
        return part

    def rms(self, part: Tensor) -> Tensor:
        """Root mean square over the whole tensor of which this process has `part`."""
        return (self.total(part.square().sum()) / self.whole.numel()).sqrt()


class GuardedOptimizer(Optimizer):
    """An optimizer that is written as the update of one parameter. Skipping, sharding and state are done here.

    To skip without waiting for the device, each update is computed and then replaced by the values before it. That
    takes a copy of one parameter and its state at a time.
    """

    _skip: Tensor | None = None

    @abstractmethod
    def update(self, share: Share, lr: float, weight_decay: float) -> None:
        """Change `share.values` and `share.state` in place. Read no tensor on the host: that waits for the device."""

    def skip_updates(self, skip: Tensor) -> None:
        self._skip = skip

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self._step(parameter, parameter.grad, group["lr"], group["weight_decay"])

    def _step(self, parameter: Parameter, gradient: Tensor, lr: float, weight_decay: float) -> None:
        state = self.state[parameter]
        if not state:
            state.update(self.blank_state(parameter))
        share = Share(
            values=local(parameter),
            gradient=local(gradient),
            state={name: local(tensor) for name, tensor in state.items()},
            whole=parameter,
        )
        changed = [share.values, *share.state.values()]
        before = [tensor.clone() for tensor in changed] if self._skip is not None else []
        self.update(share, lr, weight_decay)
        if self._skip is not None:
            for now, then in zip(changed, before, strict=True):
                now.copy_(torch.where(self._skip > 0, then, now))


class Adafactor(GuardedOptimizer):
    """Adafactor (arXiv:1804.04235, algorithms 4 and 5), with the learning rate as the largest relative step.

    The second moment of a matrix is kept as the means of its rows and columns. torch's implementation reads two
    numbers per parameter on the host in every step, and does not shard.
    """

    SMALLEST = 1e-30
    """Added to squared gradients: rows without a gradient have no update then."""

    def __init__(self, groups: list[dict[str, Any]], config: AdafactorConfig) -> None:
        super().__init__(groups, {"lr": config.lr})
        self._config = config

    @staticmethod
    def blank_state(parameter: Tensor) -> State:
        step = {"step": torch.zeros((), device=parameter.device)}
        if parameter.ndim < 2:
            return step | {"variance": torch.zeros_like(parameter, requires_grad=False)}
        if parameter.ndim == 2:  # sharded by rows, so every process needs the means of all columns
            columns = torch.zeros((1, parameter.shape[1]), device=parameter.device)
        else:
            columns = torch.zeros_like(parameter[..., :1, :], requires_grad=False)
        return step | {"row_var": torch.zeros_like(parameter[..., :1], requires_grad=False), "col_var": columns}

    def update(self, share: Share, lr: float, weight_decay: float) -> None:
        values, gradient = share.values, share.gradient
        step = share.state["step"].add_(1)
        # Before the decay, as torch does. Relative to the parameter's own size: large weights take larger steps.
        scale = share.rms(values).clamp(min=self._config.min_scale) * step.rsqrt().clamp(max=lr)
        values.mul_(1 - lr * weight_decay)
        update = gradient * self._inverse_root(share, gradient.square() + self.SMALLEST, step**self._config.beta2_decay)
        values.sub_(update * (scale / (share.rms(update) / self._config.clip).clamp(min=1.0)))

    @staticmethod
    def _inverse_root(share: Share, squares: Tensor, weight: Tensor) -> Tensor:
        """1 / √(second moment), after `squares` have come in with `weight`."""
        if share.whole.ndim < 2:
            return share.state["variance"].lerp_(squares, weight).rsqrt()
        rows, columns = share.state["row_var"], share.state["col_var"]
        height = share.whole.shape[-2]
        # Of a matrix the rows are shared among the processes; of more dimensions the matrices are.
        total = share.total if share.whole.ndim == 2 else lambda part: part
        rows.lerp_(squares.mean(-1, keepdim=True), weight)
        columns.lerp_(total(squares.sum(-2, keepdim=True)) / height, weight)
        # rows · columns / mean(rows), each root by itself: the product would underflow.
        return (rows / (total(rows.sum(-2, keepdim=True)) / height)).rsqrt() * columns.rsqrt()


KINDS: Mapping[type[Any], type[Any]] = {AdamWConfig: AdamW, AdafactorConfig: Adafactor}
"""The optimizer of each settings class: called with parameter groups and the settings."""


def make_optimizer(config: AnyOptim, parameters: Iterable[Parameter]) -> Optimizer:
    """The optimizer for those of `parameters` that are trained.

    Norms and biases, the parameters with fewer than two dimensions, get no weight decay.
    """
    trained = [parameter for parameter in parameters if parameter.requires_grad]
    groups = [
        {"params": [p for p in trained if p.ndim >= 2], "weight_decay": config.weight_decay},
        {"params": [p for p in trained if p.ndim < 2], "weight_decay": 0.0},
    ]
    optimizer: Optimizer = KINDS[type(config)]([group for group in groups if group["params"]], config)
    return optimizer


def state_bytes(config: AnyOptim, parameters: Iterable[Parameter]) -> int:
    """Bytes of state for `parameters`, counts of steps left out."""
    kind, total = KINDS[type(config)], 0
    for parameter in parameters:
        if parameter.requires_grad:
            state = kind.blank_state(torch.empty(parameter.shape, device="meta"))
            total += sum(4 * tensor.numel() for name, tensor in state.items() if name != "step")
    return total


def is_sharded(tensor: Tensor) -> bool:
    """Whether it is a DTensor. To import that class takes time, for those who need it."""
    return hasattr(tensor, "to_local")


def local(tensor: Tensor) -> Tensor:
    """What of `tensor` this process has."""
    part: Tensor = tensor.to_local() if is_sharded(tensor) else tensor  # type: ignore[attr-defined]
    return part


def warmup_steps(optim: AnyOptim, total_steps: int) -> int:
    """`optim.warmup` in steps: below 1 it is a fraction of all steps."""
    steps = optim.warmup * total_steps if optim.warmup < 1 else optim.warmup
    return min(round(steps), total_steps)


def learning_rate(optim: AnyOptim, step: int, total_steps: int) -> float:
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
