"""The lines of the table of runs, fitted to a width. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from passingloop.figures import short_span, span
from passingloop.live.drawing import Glyphs, Line, Style, bar, cut, cut_line, padded, sparkline
from passingloop.live.run_row import Curves, RunRow, SortKey, metric_text

STYLES: Mapping[str, Style] = {
    "running": "busy",
    "pending": "waits",
    "completed": "good",
    "failed": "bad",
    "lost": "bad",
    "missing": "bad",
}
"""By the kind of a state; others are dim."""

STATE_WIDTH, MIDDLE_STATE, SHORT_STATE = 11, 9, 4
PERCENT, VALUE, LEFT = 4, 6, 9
GAP = " "
SHORTEST_NAME = 16
MOST_MORE = 14
"""By how much bars and lines of values grow where there is room."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Columns:
    """Widths; 0 is a column that is left out."""

    width: int
    run: int
    state: int
    bar: int
    loss: int
    """Of the line of values; the newest value follows it."""
    busy: int
    left: int
    percent: int = PERCENT

    @property
    def rest(self) -> int:
        """From behind the state to the end."""
        return max(0, self.width - 2 - self.run - self.state - 2 * len(GAP))


def columns(width: int, longest_name: int = 40) -> Columns:
    """The columns that fit, those for people with little room first.

    Args:
        longest_name: of a run; a wider column for it would be empty, so the others get more.
    """
    if width >= 110:
        chosen = {"state": STATE_WIDTH, "bar": 14, "loss": 14, "busy": 12, "left": LEFT}
    elif width >= 76:
        chosen = {"state": MIDDLE_STATE, "bar": 8, "loss": 8, "busy": 5, "left": LEFT}
    elif width >= 60:
        chosen = {"state": MIDDLE_STATE, "bar": 6, "loss": 0, "busy": 0, "left": LEFT}
    elif width >= 44:
        chosen = {"state": MIDDLE_STATE, "bar": 0, "loss": 0, "busy": 0, "left": LEFT}
    else:
        chosen = {"state": SHORT_STATE, "bar": 0, "loss": 0, "busy": 0, "left": 0}
    shape = Columns(width=width, run=0, **chosen)
    room = max(4, width - 2 - shape.state - 2 * len(GAP) - _figures_width(shape))
    spare = max(0, room - max(SHORTEST_NAME, longest_name)) // 3
    for name in ("bar", "loss", "busy"):
        if chosen[name]:
            more = min(spare, MOST_MORE)
            chosen[name] += more
            room -= more
    return Columns(width=width, run=room, **chosen)


def header(shape: Columns, sort: SortKey, glyphs: Glyphs, *, reverse: bool) -> Line:
    """The names of the columns; the one by which the runs are sorted stands out."""
    sorted_by = {"state": "state", "name": "run", "progress": "progress", "left": "left", "loss": "loss"}.get(sort)
    mark = ("^" if reverse else "v") if glyphs.levels.isascii() else ("▲" if reverse else "▼")

    def title(name: str, width: int, *, right: bool = False) -> Line:
        text = f"{name} {mark}" if name == sorted_by else name
        text = text[:width]
        return ((text.rjust(width) if right else text.ljust(width), "bold" if name == sorted_by else "dim"),)

    line: Line = (("  ", ""), *title("run", shape.run), (GAP, ""), *title("state", shape.state), (GAP, ""))
    progress = shape.bar + bool(shape.bar) + shape.percent
    line += title("progress", progress)
    if shape.loss:
        line += ((GAP, ""), *title("loss", shape.loss + 1 + VALUE))
    if shape.busy:
        line += ((GAP, ""), *title("busy", shape.busy + 1 + PERCENT))
    if shape.left:
        line += ((GAP, ""), *title("left", shape.left, right=True))
    return cut_line(line, shape.width, glyphs)


def run_line(row: RunRow, curves: Curves, shape: Columns, now: float, glyphs: Glyphs, *, chosen: bool) -> Line:
    """The line of a run, `shape.width` wide."""
    kind = row.state.kind
    style = STYLES.get(kind, "dim")
    line: Line = (
        (f"{glyphs.chosen} " if chosen else "  ", "bold"),
        (_name(row, shape.run, glyphs).ljust(shape.run), "bold" if chosen else ""),
        (GAP, ""),
        (cut(row.kind_text, shape.state, glyphs).ljust(shape.state), style),
        (GAP, ""),
    )
    if kind == "running" and not row.standing(now):
        line += _figures(row, curves, shape, now, glyphs)
    elif kind == "completed" and row.progress.steps:
        steps = f"{row.progress.steps:,} steps"
        line += (("; ".join(filter(None, [row.standing(now), steps])), ""),)
    else:
        line += ((row.standing(now), "" if row.state.is_active else "dim"),)
    return padded(cut_line(line, shape.width, glyphs), shape.width)


def _figures_width(shape: Columns) -> int:
    widths = [shape.bar + bool(shape.bar) + shape.percent]
    widths += [len(GAP) + shape.loss + 1 + VALUE] if shape.loss else []
    widths += [len(GAP) + shape.busy + 1 + PERCENT] if shape.busy else []
    widths += [len(GAP) + shape.left] if shape.left else []
    return sum(widths)


def _figures(row: RunRow, curves: Curves, shape: Columns, now: float, glyphs: Glyphs) -> Line:
    """Progress, loss, use of the GPUs, and the time left, of a run that trains."""
    progress, share = row.progress, row.progress.share
    line: Line = ()
    if shape.bar:
        steps = f"{progress.step:,} steps" if progress.step is not None else ""
        line += bar(share, shape.bar, glyphs) if share is not None else ((steps[: shape.bar].ljust(shape.bar), ""),)
        line += ((" ", ""),)
    line += ((percent_text(share).rjust(shape.percent), ""),)
    if shape.loss:
        value = "" if progress.loss is None else metric_text(progress.loss)
        style: Style = "bad" if value in ("nan", "inf", "-inf") else ""
        line += ((GAP, ""), (sparkline(curves.loss, shape.loss, glyphs), "good"), (" ", ""))
        line += ((value[:VALUE].rjust(VALUE), style),)
    if shape.busy:
        line += ((GAP, ""), (sparkline(curves.busy, shape.busy, glyphs, low=0.0, high=1.0), "busy"), (" ", ""))
        line += ((percent_text(curves.busy.newest).rjust(PERCENT), ""),)
    if shape.left:
        text, style = left_text(row, now)
        line += ((GAP, ""), (text[: shape.left].rjust(shape.left), style))
    return line


def left_text(row: RunRow, now: float) -> tuple[str, Style]:
    """How long it still takes; or for how long no step was done, if that is unusual."""
    if (quiet := row.quiet_for(now)) is not None:
        return f"quiet {short_span(quiet)}", "bad"
    left = row.seconds_left(now)
    return ("", "") if left is None else (span(left), "")


def percent_text(share: float | None) -> str:
    """``97%``; 100 only if it is all."""
    if share is None:
        return ""
    return f"{min(99, int(share * 100)) if share < 1 else 100}%"


def _name(row: RunRow, width: int, glyphs: Glyphs) -> str:
    """The experiment's name and the beginning of the signature; the name is cut first, as the signature tells runs
    apart."""
    name, _, signature = row.name.rpartition("/")
    first, dot, number = signature.partition(".")  # the number of a rerun
    digits = signature if len(name) + 1 + len(signature) <= width else f"{first[:6]}{dot}{number}"
    room = width - len(digits) - 1
    return f"{cut(name, room, glyphs)}/{digits}" if room > 0 else digits[:width]
