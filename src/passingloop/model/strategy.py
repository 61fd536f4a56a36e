"""How the processes of a run share a model: each has the whole (DDP), or a part of every weight (FSDP2)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

Strategy = Literal["auto", "ddp", "fsdp"]

WORTH_KEEPING = 2 / 3
"""The share of a pass's tokens that must still fit for whole gradients to be worth their memory. Every pass gathers the
weights twice and reduces the gradients once, all of the same size: with fewer tokens in a pass the gathering in more
passes costs what the reductions have saved."""


@dataclass(frozen=True, slots=True)
class Sharing:
    """How a model is shared."""

    is_sharded: bool
    keeps_gradients: bool = False
    """Whether the gradients of a sharded model add up in each process, whole, and are reduced once a step; otherwise
    they are in every micro-batch."""
    words: str = ""
    """The same for people, with the reason; nothing to say of one process."""


def choose_sharing(
    wanted: Strategy,
    processes: int,
    room: Callable[[int, int], int],
    *,
    row: int,
    gradients: int,
    rows: int | None = None,
) -> Sharing:
    """Whole models where the memory allows, as they need the least communication, unless something else is wanted.

    Args:
        wanted: `resources.strategy`.
        room: tokens of a pass that fit on a device if the state is spread over so many processes, and each holds so
            many bytes more. The same function in all processes, or they would choose differently.
        row: tokens in the longest row.
        gradients: bytes of the whole gradients.
        rows: how many rows a pass has; None if as many as fit.
    """
    if processes == 1:
        return Sharing(is_sharded=False)
    fits = room(1, 0) >= row
    if wanted == "ddp" or (wanted == "auto" and fits):
        why = ", for which there is room" if wanted == "auto" else ""
        return Sharing(is_sharded=False, words=f"whole in each of {processes} processes (ddp{why})")
    why = f", as a whole one leaves no room for a row of {row:,} tokens" if wanted == "auto" else ""
    needed = WORTH_KEEPING * room(processes, 0) if rows is None else rows * row
    keeps = room(processes, gradients) >= max(needed, row)
    how_often = "once a step" if keeps else "in every micro-batch, to save memory"
    return Sharing(True, keeps, f"spread over {processes} processes (fsdp{why}), gradients reduced {how_often}")


@contextmanager
def unreduced_gradients(model: Any) -> Iterator[None]:
    """A context in which the gradients of a sharded `model` add up in each process, whole, and are not reduced."""
    model.set_requires_gradient_sync(False)
    try:
        yield
    finally:
        model.set_requires_gradient_sync(True)
