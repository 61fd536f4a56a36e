"""Of what the priorities of waiting jobs are made: sprio(1)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

PARTS = {
    "age": "A",
    "fairshare": "F",
    "size": "J",
    "partition": "P",
    "QOS": "Q",
    "association": "B",
    "site": "S",
    "nice": "N",
}
"""Each part, and sprio's letter for it. A nice value is taken off."""

COMMAND = ("sprio", "--noheader", "--format=%i|%r|%Y|" + "|".join(f"%{letter}" for letter in PARTS.values()) + "|%T")


@dataclass(frozen=True, kw_only=True, slots=True)
class PriorityParts:
    """The weighted parts of one job's priority in one partition."""

    number: str
    """Slurm's number of the job."""
    partition: str
    priority: int
    parts: Mapping[str, int]


def read_priorities(text: str) -> tuple[PriorityParts, ...]:
    """Parse the output of `COMMAND`."""
    rows = [line.replace(" ", "").split("|") for line in text.splitlines()]
    return tuple(_parts(row) for row in rows if len(row) == len(PARTS) + 4)


def _parts(row: list[str]) -> PriorityParts:
    number, partition, priority, *values, tres = row
    parts = {name: int(float(value or 0)) for name, value in zip(PARTS, values, strict=True)}
    parts["nice"] = -parts["nice"]
    parts["TRES"] = sum(int(float(part.partition("=")[2] or 0)) for part in tres.split(",") if "=" in part)
    return PriorityParts(number=number, partition=partition, priority=int(float(priority)), parts=parts)
