"""The learning rate as a function of the step: nothing to save, nothing to restore."""

from __future__ import annotations

import math

from passingloop.config.settings import OptimConfig


def warmup_steps(optim: OptimConfig, total_steps: int) -> int:
    """`optim.warmup` in steps: below 1 it is a fraction of all steps."""
    steps = optim.warmup * total_steps if optim.warmup < 1 else optim.warmup
    return min(round(steps), total_steps)


def learning_rate(optim: OptimConfig, step: int, total_steps: int) -> float:
    """Learning rate of step `step` (from 0) of `total_steps`.

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
