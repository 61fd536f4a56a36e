"""Slurm's notations, read and written: times, memory sizes, names of array tasks, lists of nodes."""

from __future__ import annotations

import datetime
import itertools
import re
from collections.abc import Iterable, Iterator

TIME = re.compile(r"(?:(?P<days>\d+)-)?(?P<parts>\d+(?::\d+){0,2})")


def seconds(text: str) -> float | None:
    """``30`` (minutes), ``1:30`` (minutes, seconds), ``4:00:00``, ``2-12`` or ``2-12:30`` in seconds; else None.

    From sbatch(1), --time. UNLIMITED, INVALID and the like are None.
    """
    match = TIME.fullmatch(text.strip())
    if not match:
        return None
    parts = [int(part) for part in match["parts"].split(":")]
    if match["days"] is not None:
        hours, minutes, rest = [*parts, 0, 0][:3]
    elif len(parts) == 3:
        hours, minutes, rest = parts
    else:
        hours, (minutes, rest) = 0, [*parts, 0][:2]
    return int(match["days"] or 0) * 86400.0 + hours * 3600 + minutes * 60 + rest


def warning(limit: float | None) -> int:
    """How many seconds before its time limit a job is to be asked to stop: a tenth of it, 90 s at most.

    Slurm looks every 30 s and may ask a minute early (sbatch(1), --signal), so a job of one minute is asked after 24 s
    at the earliest.
    """
    return 90 if limit is None else max(5, min(90, round(limit / 10)))


def words(limit: float) -> str:
    """Seconds as ``D-HH:MM:SS`` or ``H:MM:SS``."""
    minutes, rest = divmod(round(limit), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    return f"{days}-{hours:02}:{minutes:02}:{rest:02}" if days else f"{hours}:{minutes:02}:{rest:02}"


def moment(text: str) -> float | None:
    """``2026-11-21T08:00:00``, local time, in seconds since the epoch; None for N/A, Unknown and the like."""
    try:
        return datetime.datetime.fromisoformat(text).timestamp()
    except ValueError:
        return None


UNITS = {"K": 1, "M": 1024, "G": 1024**2, "T": 1024**3, "P": 1024**4}
"""Kibibytes; sbatch(1), --mem: without a unit it is megabytes."""


def kibibytes(size: str) -> int:
    """Of a size as ``800``, ``800M``, ``16G``."""
    return int(size.rstrip("KMGTP")) * UNITS[size.lstrip("0123456789") or "M"]


def megabytes(size: str) -> float:
    """Of a size as ``800``, ``800M``, ``16G``."""
    return kibibytes(size) / UNITS["M"]


def doubled_memory(mem: str, most: str | None) -> str:
    """Twice `mem`, but not more than `most`; in the largest unit that is exact."""
    wanted = 2 * kibibytes(mem)
    size = min(wanted, kibibytes(most)) if most else wanted
    unit = next(unit for unit in ("T", "G", "M", "K") if size % UNITS[unit] == 0)
    return f"{size // UNITS[unit]}{unit}"


def is_more_memory(mem: str, than: str) -> bool:
    """Whether `mem` is more than the other."""
    return kibibytes(mem) > kibibytes(than)


SEVERAL = re.compile(r"(?P<array>\d+)_\[(?P<spans>[^%\]]*)(?:%\d+)?\]")
"""``12_[0,3-9,20-400:2%4]``: tasks 0, 3 to 9 and every second one from 20 to 400, of which 4 may run at once."""


def tasks(name: str) -> list[str]:
    """The single tasks that `name` stands for, as ``12_3``; any other name stands for itself."""
    several = SEVERAL.fullmatch(name)
    return (
        [f"{several['array']}_{index}" for span in several["spans"].split(",") for index in _indices(span)]
        if several
        else [name]
    )


def grouped_tasks(job_ids: Iterable[str]) -> Iterator[str]:
    """As few names as will do: the tasks of one array as ``12_[0,3,4]``."""
    pairs = sorted((int(array), int(task or -1)) for array, _, task in (name.partition("_") for name in set(job_ids)))
    for array, group in itertools.groupby(pairs, key=lambda pair: pair[0]):
        indices = [str(task) for _, task in group if task >= 0]
        yield f"{array}_[{','.join(indices)}]" if indices else str(array)


def _indices(text: str) -> range:
    ends, _, step = text.partition(":")
    first, _, last = ends.partition("-")
    return range(int(first), int(last or first) + 1, int(step or 1))


PART = re.compile(r"(?:[^,\[]|\[[^\]]*\])+")
"""One of the comma-separated parts; commas in brackets belong to it."""


def node_names(hostlist: str) -> list[str]:
    """The names, in the order given. Each bracket of a name is run through, and zeros in front are kept."""
    return [name for part in PART.findall(hostlist) for name in _part_names(part)]


def _part_names(part: str) -> Iterator[str]:
    pieces = re.split(r"\[([^\]]*)\]", part)  # text, bracket, text, bracket … text
    choices = [list(_numbers(piece)) if index % 2 else [piece] for index, piece in enumerate(pieces)]
    return ("".join(chosen) for chosen in itertools.product(*choices))


def _numbers(bracket: str) -> Iterator[str]:
    for span in bracket.split(","):
        first, _, last = span.partition("-")
        yield from (str(number).zfill(len(first)) for number in range(int(first), int(last or first) + 1))
