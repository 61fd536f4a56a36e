"""The attempts that follow one another by themselves: those since a person last started the run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Line = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Ended:
    """An attempt that has ended: its two lines."""

    start: Line
    end: Line


def since_a_person(lines: Sequence[Line]) -> Sequence[Line]:
    """The lines from the newest on that a person caused: a submission, or a command in a shell.

    What passingloop submits by itself names the attempt that it comes after, and what it starts again in a shell
    follows the decision to do so.
    """
    for index in range(len(lines) - 1, -1, -1):
        if _by_a_person(lines, index):
            return lines[index:]
    return lines


def ended(lines: Sequence[Line]) -> list[Ended]:
    """The attempts among `lines` that have ended, oldest first."""
    return list(_ended(lines))


def avoided(lines: Sequence[Line]) -> list[str]:
    """The nodes that have failed under this series, in the order in which they did."""
    decisions = (line for line in since_a_person(lines) if line["event"] == "decision")
    return list(dict.fromkeys(node for line in decisions for node in line["exclude"]))


def _by_a_person(lines: Sequence[Line], index: int) -> bool:
    line = lines[index]
    if line["event"] == "queued":
        return line.get("after") is None
    again = index > 0 and lines[index - 1].get("action") == "again"
    return line["event"] == "start" and not line.get("submission") and not again


def _ended(lines: Sequence[Line]) -> Iterator[Ended]:
    starts = {line["attempt"]: line for line in lines if line["event"] == "start"}
    for line in lines:
        if line["event"] == "end" and line["attempt"] in starts:
            yield Ended(starts[line["attempt"]], line)
