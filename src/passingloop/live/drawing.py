"""What a line in a terminal is made of: pieces of text with a style, bars, and lines of values. Pure."""

from __future__ import annotations

import math
import re
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

Style = Literal["", "dim", "bold", "good", "busy", "waits", "bad", "title", "alarm"]
Piece = tuple[str, Style]
Line = tuple[Piece, ...]

Number = float | None

OF_LATE = 8
"""Values of a series that count as new."""

COLUMN = re.compile(r"(?:\S+(?: \S+)*)?\s{2,}(?=\S)")
"""What stands before the second column, or the indent of a line."""


@dataclass(frozen=True, slots=True)
class Series:
    """Values at equal distances, the newest one last. None is what was not measured."""

    values: tuple[Number, ...] = ()
    first: int = 0
    """The number of the first of them, counted from any beginning that stays the same."""

    @property
    def newest(self) -> Number:
        """The newest value, if something was measured of late."""
        return next((value for value in reversed(self.values[-OF_LATE:]) if value is not None), None)


NO_VALUES = Series()


@dataclass(frozen=True, kw_only=True, slots=True)
class Glyphs:
    """The characters of bars and lines of values."""

    levels: str
    """From the lowest value to the highest."""
    done: str
    rest: str
    gpus: tuple[str, ...]
    """For the states of a GPU, in the order of `passingloop.live.cluster_use.STATES`."""
    chosen: str
    """Before the line that keys are about."""
    more: str
    """Where text was cut off."""
    gap: str
    """Between two statements."""
    rule: str
    degrees: str


PLAIN_LOCALES = ("C", "POSIX")

COERCED = ("C.UTF-8", "C.utf8", "UTF-8")
"""What Python sets LC_CTYPE to where the locale is C (PEP 538)."""

BLOCKS = Glyphs(
    levels="▁▂▃▄▅▆▇█",
    done="━",
    rest="─",
    gpus=("█", "▒", "░", "×", "·"),
    chosen="▸",
    more="…",
    gap=" · ",
    rule="─",
    degrees="°C",
)
ASCII = Glyphs(
    levels="_.-~=+*#",
    done="#",
    rest="-",
    gpus=("#", "%", "=", "x", "."),
    chosen=">",
    more="~",
    gap=", ",
    rule="-",
    degrees="C",
)


def glyphs_for(encoding: str | None, environment: Mapping[str, str]) -> Glyphs:
    """Those that a terminal with this encoding and this environment can show.

    Where the locale is asked to be C, Python writes UTF-8 all the same (PEP 540), and says so in LC_CTYPE.
    """
    everything, characters, language = (environment.get(name) for name in ("LC_ALL", "LC_CTYPE", "LANG"))
    if not everything and characters in COERCED and language in PLAIN_LOCALES:
        return ASCII
    if (everything or characters or language) in PLAIN_LOCALES:
        return ASCII
    try:
        "".join((BLOCKS.levels, *BLOCKS.gpus, BLOCKS.chosen, BLOCKS.done)).encode(encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return ASCII
    return BLOCKS


def bar(share: float, width: int, glyphs: Glyphs, style: Style = "busy") -> Line:
    """A bar of which `share`, 0 to 1, is done. It is full only at 1, and empty only at 0."""
    full = width if share >= 1.0 else max(0, min(width - 1, max(1 if share > 0 else 0, int(share * width))))
    return ((glyphs.done * full, style), (glyphs.rest * (width - full), "dim"))


def stacked_bar(amounts: Sequence[float], width: int) -> list[int]:
    """The widths that `amounts` get of `width`: in proportion, and none that is not 0 gets nothing, if there is room.

    Largest remainders first, so that the widths add up.
    """
    total = sum(amounts)
    if total <= 0 or width <= 0:
        return [0] * len(amounts)
    exact = [amount / total * width for amount in amounts]
    widths = [max(1, int(share)) if share > 0 else 0 for share in exact]
    while sum(widths) < width:
        index = max(range(len(widths)), key=lambda index: (exact[index] - widths[index], exact[index]))
        widths[index] += 1
    while sum(widths) > width:
        index = max(range(len(widths)), key=lambda index: (widths[index] - exact[index], widths[index]))
        widths[index] -= 1
    return widths


def resampled(series: Series, width: int) -> list[Number]:
    """The newest values as at most `width` means of neighbours; None where nothing was measured.

    Which values are neighbours does not change as new ones come, so that the line moves to the left and is not redrawn
    in another shape.
    """
    size = -(-len(series.values) // width) if width > 0 else 0
    if size <= 1:
        return list(series.values)
    groups: dict[int, list[Number]] = {}
    for number, value in enumerate(series.values, series.first):
        groups.setdefault(number // size, []).append(value)
    return [mean(values) for values in groups.values()][-width:]


def sparkline(series: Series, width: int, glyphs: Glyphs, *, low: Number = None, high: Number = None) -> str:
    """A line of levels, the newest value at its right end; between `low` and `high`, else the least and greatest value.

    What was not measured is a gap. A loss that is not a number, or infinite, is the highest level.
    """
    means = resampled(series, width)
    finite = [value for value in means if value is not None and math.isfinite(value)]
    bottom = low if low is not None else min(finite, default=0.0)
    top = high if high is not None else max(finite, default=0.0)
    return "".join(_level(value, bottom, top, glyphs.levels) for value in means).rjust(width)


def visible(text: str) -> str:
    """`text`, as wide as before, with a question mark for each character that would control the terminal."""
    return text if text.isprintable() else "".join(letter if letter.isprintable() else "?" for letter in text)


def text_of(line: Line) -> str:
    return "".join(visible(text) for text, _ in line)


def width_of(line: Line) -> int:
    return sum(len(text) for text, _ in line)


def cut(text: str, width: int, glyphs: Glyphs) -> str:
    """`text` in at most `width` characters."""
    if len(text) <= width:
        return text
    return text[: max(0, width - 1)].rstrip() + glyphs.more if width > 0 else ""


def cut_line(line: Line, width: int, glyphs: Glyphs) -> Line:
    """`line` in at most `width` characters."""
    pieces: list[Piece] = []
    left = width
    for text, style in line:
        if len(text) > left:
            return (*pieces, (cut(text, left, glyphs), style))
        pieces.append((text, style))
        left -= len(text)
    return tuple(pieces)


def padded(line: Line, width: int) -> Line:
    """`line`, filled up with spaces."""
    return (*line, (" " * (width - width_of(line)), "")) if width_of(line) < width else line


def wrapped(text: str, width: int) -> list[str]:
    """The lines of `text` in at most `width` characters; what is carried over stands below the second column."""
    lines = []
    for line in text.splitlines():
        column = len(match[0]) if (match := COLUMN.match(line)) else 0
        indent = " " * column if column <= width // 2 else ""
        lines += textwrap.wrap(line, max(20, width), subsequent_indent=indent, replace_whitespace=False) or [""]
    return lines


def changed_columns(before: Line, after: Line) -> tuple[int, int] | None:
    """The first column that differs and the one behind the last; None if both lines look the same."""
    old, new = _cells(before), _cells(after)
    if old == new:
        return None
    length = max(len(old), len(new))
    old += [(" ", "")] * (length - len(old))
    new += [(" ", "")] * (length - len(new))
    differing = [index for index, (one, other) in enumerate(zip(old, new, strict=True)) if one != other]
    return (differing[0], differing[-1] + 1) if differing else None


def _cells(line: Line) -> list[Piece]:
    return [(character, style) for text, style in line for character in text]


def _level(value: Number, low: float, high: float, levels: str) -> str:
    if value is None:
        return " "
    if not math.isfinite(value):
        return levels[-1]
    share = (value - low) / (high - low) if high > low else 0.0
    return levels[min(len(levels) - 1, max(0, round(share * (len(levels) - 1))))]


def mean(values: Sequence[Number]) -> Number:
    """Of the values that were measured."""
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None
