"""The page of ``passingloop doctor``: what would go wrong comes first, each with its evidence and what to do."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

LEVELS = {"problem": 31, "warning": 33, "unknown": 36, "ok": 32}
"""In the order of the page, with the colour of each: numbers of ECMA-48 (SGR)."""

LEAST_WIDTH = 60

Row = Mapping[str, Any]
"""A finding in the JSON of ``passingloop doctor --json``."""


def page(rows: Sequence[Row], width: int, *, colour: bool) -> Iterator[str]:
    """Lines for a terminal of `width` characters."""
    ordered = sorted(rows, key=lambda row: list(LEVELS).index(row["level"]))
    label = max((len(row["check"]) for row in rows), default=0) + 2
    indent = " " * (9 + label)
    for row in ordered:
        level = f"{row['level']:9}"
        first = f"\x1b[{LEVELS[row['level']]}m{level}\x1b[0m" if colour else level
        body = max(width, LEAST_WIDTH) - len(indent)
        lines = textwrap.wrap(row["what"], body, break_long_words=False, break_on_hyphens=False)
        lines += _wrapped("seen: ", row["evidence"], body)
        if row["remedy"]:
            lines += _wrapped("do:   ", row["remedy"], body)
        yield f"{first}{row['check']:{label}}{lines[0]}"
        yield from (f"{indent}{line}" for line in lines[1:])


def _wrapped(name: str, text: str, width: int) -> list[str]:
    """A part of a finding under it; words such as paths and commands stay whole."""
    wrapped = textwrap.wrap(text, width - len(name), break_long_words=False, break_on_hyphens=False)
    return [f"{name if index == 0 else ' ' * len(name)}{line}" for index, line in enumerate(wrapped)]


def summary(counts: Mapping[str, int]) -> str:
    """How many findings there are of each level, in a sentence."""
    words = {"problem": "would go wrong", "warning": "may go wrong", "unknown": "not known", "ok": "in order"}
    parts = [f"{counts[level]} {words[level]}" for level in LEVELS if counts.get(level)]
    return f"{', '.join(parts)}."
