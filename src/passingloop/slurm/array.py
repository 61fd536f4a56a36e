"""Arrays: many jobs under one number, and how Slurm writes several of their tasks as one name."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import groupby

SEVERAL = re.compile(r"(?P<array>\d+)_\[(?P<spans>[^%\]]*)(?:%\d+)?\]")
"""``12_[0,3-9,20-400:2%4]``: tasks 0, 3 to 9 and every second one from 20 to 400, of which 4 may run at once."""


def tasks(name: str) -> list[str]:
    """The single tasks that `name` stands for, as ``12_3``; any other name stands for itself."""
    found = SEVERAL.fullmatch(name)
    return (
        [f"{found['array']}_{index}" for span in found["spans"].split(",") for index in _span(span)]
        if found
        else [name]
    )


def grouped(job_ids: Iterable[str]) -> Iterator[str]:
    """As few names as will do: the tasks of one array as ``12_[0,3,4]``."""
    pairs = sorted((int(array), int(task or -1)) for array, _, task in (name.partition("_") for name in set(job_ids)))
    for array, group in groupby(pairs, key=lambda pair: pair[0]):
        indices = [str(task) for _, task in group if task >= 0]
        yield f"{array}_[{','.join(indices)}]" if indices else str(array)


def _span(text: str) -> range:
    ends, _, step = text.partition(":")
    first, _, last = ends.partition("-")
    return range(int(first), int(last or first) + 1, int(step or 1))
