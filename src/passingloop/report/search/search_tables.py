"""A sweep for a terminal: its rungs, its best points, what it waits for, what it has cost. Readable without colour."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from passingloop.figures import percent, span
from passingloop.pending.wording import count_text
from passingloop.report.list_page import table
from passingloop.report.search.search_content import Cost, Rung, SearchPoint, SearchProgress, setting_word
from passingloop.report.usage.run_facts import hours_text
from passingloop.text import printable

TOP = 10
"""Points that are listed unless all are asked for."""

USUAL_WIDTH, LEAST_WIDTH = 100, 60
"""Characters of a line of words."""

NONE = "-"
"""What stands in a table for a figure that is not known."""

RULES = {
    "grid": "all points train to the end",
    "random": "points drawn at random, all of which train to the end",
    "halving": "of each rung, the best {share} goes on once all have a value there",
    "asha": "of each rung, the best {share} goes on as soon as there is one",
    "tpe": "points drawn near the best of those before, all of which train to the end",
}
SHARES = {2: "half", 3: "third", 4: "quarter", 5: "fifth"}


def page(progress: SearchProgress, width: int | None = None, *, everything: bool = False) -> Iterator[str]:
    """The lines.

    Args:
        width: characters of the terminal's lines. None where the output is no terminal: no cell is cut.
        everything: list all points, rather than the `TOP` best.
    """
    wrapped = max(width or USUAL_WIDTH, LEAST_WIDTH)
    yield from textwrap.wrap(headline(progress), wrapped)
    if len(progress.rungs) > 1:
        yield ""
        yield from rung_table(progress.rungs, width)
    yield ""
    shown = progress.points if everything else progress.points[:TOP]
    yield from point_table(progress, shown, width)
    if len(shown) < len(progress.points):
        yield f"and {count_text(len(progress.points) - len(shown), 'more point', 'more points')}: --all"
    sentences = [*progress.waits, cost_sentence(progress.cost)]
    if sentence := best_sentence(progress):
        sentences.insert(0, sentence)
    for sentence in filter(None, sentences):
        yield ""
        yield from textwrap.wrap(printable(sentence), wrapped, break_on_hyphens=False, break_long_words=False)


def headline(progress: SearchProgress) -> str:
    """What kind of sweep it is, and whether it goes on."""
    rule = RULES.get(progress.kind, progress.kind).format(share=_share_word(progress.eta))
    by = f" by {progress.metric}" if progress.metric else ""
    points = count_text(len(progress.points), "point")
    most = f" of {progress.max_points} at most" if progress.max_points else ""
    state = "done" if progress.is_over else "standing still" if progress.stands_still else "going on"
    return f"{printable(progress.name)}: {progress.kind}{by}, {points}{most}, {state}. {rule[0].upper()}{rule[1:]}."


def rung_table(rungs: Sequence[Rung], width: int | None) -> Iterator[str]:
    """A line for each rung."""
    header = ("rung", "trains to", "points", "done", "go on", "train", "wait", "stopped", "failed", "best")
    rows = [
        (
            f"{rung.number + 1}/{len(rungs)}",
            percent(rung.fraction) + (f", step {rung.step:,}" if rung.step is not None else ""),
            rung.told,
            len(rung.values),
            rung.went_on if rung.number < len(rungs) - 1 else NONE,
            rung.counts.get("trains", 0),
            rung.counts.get("waits", 0),
            rung.counts.get("stopped", 0),
            rung.failed,
            rung.best,
        )
        for rung in rungs
    ]
    yield from table(header, rows, datetime.now(), width)


def point_table(progress: SearchProgress, points: Sequence[SearchPoint], width: int | None) -> Iterator[str]:
    """A line for each of `points`."""
    header = ["run", *progress.parameters, "rung", progress.metric or "value", "is", "gpu_hours"]
    rows = [
        [
            point.run,
            *(setting_word(point.settings.get(key)) for key in progress.parameters),
            _reached(point, progress),
            point.value,
            standing_words(point, progress),
            point.gpu_hours,
        ]
        for point in points
    ]
    yield from table(header, rows, datetime.now(), width)


def standing_words(point: SearchPoint, progress: SearchProgress) -> str:
    """What a point does, in a word or three."""
    if point.has_failed:
        return "failed"
    last = len(progress.rungs) - 1
    if point.standing == "done":
        return "complete" if point.rung == last else "paused"
    if point.rung is None:
        return "has not begun"
    alone = {"trains": "trains", "waits": "waits", "stopped": "stopped"}[point.standing]
    to = {"trains": "trains to", "waits": "waits for", "stopped": "stopped before"}[point.standing]
    return f"{to} rung {point.rung + 1}" if last else alone


def best_sentence(progress: SearchProgress) -> str | None:
    """Which point is the best, and how good it is."""
    best = progress.best
    if best is None:
        return "No point has a value yet."
    chosen = ", ".join(f"{key}={setting_word(best.settings.get(key))}" for key in progress.parameters)
    is_whole = best.reached == len(progress.rungs) - 1
    so_far = "" if is_whole and progress.is_over else " so far"
    where = "" if is_whole else f", at rung {best.reached + 1}"
    others = f"; {count_text(progress.equally_good - 1, 'other has', 'others have')} the same" * (
        progress.equally_good > 1
    )
    with_ = f" with {chosen}" if chosen else ""
    return f"Best{so_far}: {best.run}{with_}, {progress.metric} {_number(best.value)}{where}{others}."


def cost_sentence(cost: Cost) -> str | None:
    """What it has used, beside the full grid."""
    if not cost.hours:
        return None
    on_gpus = cost.gpu_hours > 0
    used = f"{hours_text(cost.gpu_hours)} GPU-hours" if on_gpus else span(3600 * cost.hours)
    if cost.full_hours is None or cost.full_gpu_hours is None or cost.share is None:
        return f"Used: {used}."
    full = f"{hours_text(cost.full_gpu_hours)} GPU-hours" if on_gpus else span(3600 * cost.full_hours)
    return (
        f"Used: {used}, {percent(cost.share)} of the {full} that all points would take to the end by the time of "
        "their steps."
    )


def _reached(point: SearchPoint, progress: SearchProgress) -> str:
    return f"{point.reached + 1}/{len(progress.rungs)}" if point.reached >= 0 else NONE


def _share_word(eta: int | None) -> str:
    return SHARES.get(eta or 0, f"1 of {eta}")


def _number(value: Any) -> str:
    return NONE if value is None else format(value, ".4g")
