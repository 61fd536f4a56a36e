"""Slurm's short form of several node names: ``n[1-3,07],gpu-a``."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator

PART = re.compile(r"(?:[^,\[]|\[[^\]]*\])+")
"""One of the comma-separated parts; commas in brackets belong to it."""


def expand(hostlist: str) -> list[str]:
    """The names, in the order given. Each bracket of a name is run through, and zeros in front are kept."""
    return [name for part in PART.findall(hostlist) for name in _names(part)]


def _names(part: str) -> Iterator[str]:
    pieces = re.split(r"\[([^\]]*)\]", part)  # text, bracket, text, bracket … text
    choices = [list(_numbers(piece)) if index % 2 else [piece] for index, piece in enumerate(pieces)]
    return ("".join(chosen) for chosen in itertools.product(*choices))


def _numbers(bracket: str) -> Iterator[str]:
    for span in bracket.split(","):
        first, _, last = span.partition("-")
        yield from (str(number).zfill(len(first)) for number in range(int(first), int(last or first) + 1))
