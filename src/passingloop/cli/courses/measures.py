"""What a drill has measured of saving and continuing: the figures with which ``slurm-policy simulate`` replays jobs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from itertools import pairwise
from statistics import median
from typing import Any

from passingloop.config.running import CheckpointConfig
from passingloop.report.drill_page import Interruption
from passingloop.rundir.events import End, Start
from passingloop.rundir.ledger import Ledger

INTO_TRAINING = 3600.0
"""Seconds of training after which the interval of ``checkpoint.every=auto`` is taken: it grows while nothing cuts a run
off without a save."""

LEAST = 0.1
"""Seconds; the times of the ledger and of the metrics are no finer."""


def measured(
    checkpoint: CheckpointConfig,
    every_steps: int | None,
    done: Sequence[Interruption],
    rows: Sequence[Mapping[str, Any]],
    ledger: Ledger,
    step_s: float,
) -> dict[str, float | None]:
    """``save_s``, ``restart_s`` and ``save_every_s``, medians in seconds; None for what the interruptions did not show.

    Args:
        checkpoint: how the run saves when it is no drill.
        every_steps: steps between the saves of the drill, if they are set.
        rows: the metrics of the twin.
        ledger: that of the twin.
        step_s: seconds that a step takes.
    """
    asked = {one.attempt: one.time for one in done if one.how != "kill"}
    saved = [end for end in ledger.events_of(End) if end.attempt in asked and not end.seconds.lost]
    starts = ledger.events_of(Start)
    saves = [_saves(end, starts, every_steps) for end in saved]
    every_s = min(_save_intervals(checkpoint, saved, saves, step_s), default=None)
    return {
        "save_s": _middle([end.timestamp - asked[end.attempt] for end in saved]),
        "restart_s": _middle(list(_restarts(done, rows, starts))),
        "save_every_s": _middle([] if every_s is None else [every_s]),
    }


def _restarts(
    done: Sequence[Interruption], rows: Sequence[Mapping[str, Any]], starts: Sequence[Start]
) -> Iterator[float]:
    """From the start of each attempt that followed an interruption to the first step of which it wrote metrics."""
    interrupted = {one.attempt for one in done}
    for before, start in pairwise(starts):
        first = next((row for row in rows if row["attempt"] == start.attempt and row["split"] == "train"), None)
        if before.attempt in interrupted and first:
            yield datetime.fromisoformat(first["time"]).timestamp() - start.timestamp


def _saves(end: End, starts: Sequence[Start], every_steps: int | None) -> int:
    """How often an attempt has saved: at its end, and every so many steps before."""
    begin = next((start.start_step for start in starts if start.attempt == end.attempt), 0)
    return 1 + max(0, (end.end_step - 1) // every_steps - begin // every_steps if every_steps else 0)


def _save_intervals(
    checkpoint: CheckpointConfig, saved: Sequence[End], saves: Sequence[int], step_s: float
) -> Iterator[float]:
    """Seconds between two saves, by each of the rules that are set."""
    from passingloop.train.checkpoints.interval import History, interval  # `train` is not for login nodes

    if checkpoint.every_minutes is not None:
        yield 60 * checkpoint.every_minutes
    if checkpoint.every_steps is not None:
        yield step_s * checkpoint.every_steps
    if checkpoint.every == "auto" and saved:
        stall = median(end.seconds.saving / count for end, count in zip(saved, saves, strict=True))
        writing = median(end.seconds.saving for end in saved)
        yield interval(stall, writing, History(0.0, 0), INTO_TRAINING)


def _middle(seconds: Sequence[float]) -> float | None:
    return max(LEAST, round(median(seconds), 1)) if seconds else None
