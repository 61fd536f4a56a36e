"""Advice on runs that have ended, for ``status``."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

from passingloop.report.usage.usage_tables import wrapped_advice
from passingloop.status.state import State
from passingloop.usage.run_records import UNREADABLE, read_run
from passingloop.usage.usage_report import advice_on

MAX_RUNS = 20
"""More runs than that get none: the report names those that wasted most."""


def add_advice(rows: Sequence[dict[str, Any]], states: Sequence[State]) -> None:
    """Add `advice`, a list of sentences, to the row of each run; empty for those that have not ended."""
    for row, state in zip(rows, states, strict=True):
        row["advice"] = _advice(state) if len(rows) <= MAX_RUNS else []


def advice_lines(rows: Sequence[Mapping[str, Any]], width: int) -> Iterator[str]:
    """The advice in the rows, for a terminal of `width` characters."""
    for row in rows:
        if row.get("advice"):
            yield f"{row['name']}/{row['signature']}"
            for sentence in row["advice"]:
                yield from wrapped_advice(sentence, width)


def _advice(state: State) -> list[str]:
    if state.is_active:
        return []
    now = time.time()
    with suppress(*UNREADABLE):
        if record := read_run(state.run, 0.0, now):
            return [said.sentence for said in advice_on(record, now)]
    return []
