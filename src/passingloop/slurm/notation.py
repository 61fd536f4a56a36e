"""Slurm's notations, parsed and written: times, memory sizes, ids of array tasks, lists of nodes."""

from __future__ import annotations

import datetime
import itertools
import math
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


def warning_seconds(limit: float | None) -> int:
    """Seconds before its time limit at which a job gets the warning signal: a tenth of the limit, 5 to 90 s; 90 s
    without a limit.

    Slurm may send it up to 60 s early (sbatch(1), --signal).
    """
    return 90 if limit is None else max(5, min(90, round(limit / 10)))


def duration_text(limit: float) -> str:
    """Seconds as ``D-HH:MM:SS`` or ``H:MM:SS``."""
    minutes, rest = divmod(round(limit), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    return f"{days}-{hours:02}:{minutes:02}:{rest:02}" if days else f"{hours}:{minutes:02}:{rest:02}"


def timestamp(text: str) -> float | None:
    """``2026-11-21T08:00:00``, local time, as seconds since the epoch; None for N/A, Unknown and the like."""
    try:
        return datetime.datetime.fromisoformat(text).timestamp()
    except ValueError:
        return None


UNITS = {"K": 1, "M": 1024, "G": 1024**2, "T": 1024**3, "P": 1024**4}
"""Kibibytes in each unit; sbatch(1), --mem: a number without a unit is in M."""


def kibibytes(size: str) -> int:
    """The kibibytes of a size such as ``800`` (M), ``800M``, ``16G``."""
    return int(size.rstrip("KMGTP")) * UNITS[size.lstrip("0123456789") or "M"]


def megabytes(size: str) -> float:
    """The megabytes of a size such as ``800`` (M), ``800M``, ``16G``."""
    return kibibytes(size) / UNITS["M"]


def doubled_memory(mem: str, most: str | None) -> str:
    """Twice `mem`, but `most` at most; in the largest unit that gives a whole number."""
    wanted = 2 * kibibytes(mem)
    size = min(wanted, kibibytes(most)) if most else wanted
    unit = next(unit for unit in ("T", "G", "M", "K") if size % UNITS[unit] == 0)
    return f"{size // UNITS[unit]}{unit}"


def is_more_memory(mem: str, than: str) -> bool:
    """Whether `mem` is more than `than`."""
    return kibibytes(mem) > kibibytes(than)


TASK_LIST = re.compile(r"(?P<array>\d+)_\[(?P<spans>[^%\]]*)(?:%\d+)?\]")
"""``12_[0,3-9,20-400:2%4]``: tasks 0, 3 to 9 and every second one from 20 to 400, of which 4 may run at once."""


def task_names(name: str) -> list[str]:
    """The tasks in a name such as ``12_[0-2]``: ``12_0``, ``12_1``, ``12_2``; any other name is returned as it is."""
    match = TASK_LIST.fullmatch(name)
    return (
        [f"{match['array']}_{index}" for span in match["spans"].split(",") for index in _indices(span)]
        if match
        else [name]
    )


def grouped_tasks(job_ids: Iterable[str]) -> Iterator[str]:
    """The same jobs with one name per array: ``12_[0,3,4]`` for its tasks."""
    pairs = sorted((int(array), int(task or -1)) for array, _, task in (name.partition("_") for name in set(job_ids)))
    for array, group in itertools.groupby(pairs, key=lambda pair: pair[0]):
        indices = [str(task) for _, task in group if task >= 0]
        yield f"{array}_[{','.join(indices)}]" if indices else str(array)


def _indices(text: str) -> range:
    ends, _, step = text.partition(":")
    first, _, last = ends.partition("-")
    return range(int(first), int(last or first) + 1, int(step or 1))


HOST_PATTERN = re.compile(r"(?:[^,\[]|\[[^\]]*\])+")
"""One comma-separated part of a hostlist; commas inside brackets do not separate."""


def node_names(hostlist: str) -> list[str]:
    """The node names of a hostlist such as ``n[01-03],gpu7``, in its order; leading zeros are kept."""
    return [name for part in HOST_PATTERN.findall(hostlist) for name in _part_names(part)]


def node_count(hostlist: str) -> int:
    """How many names `node_names` would return, without writing them out.

    Raises:
        ValueError: it is no hostlist.
    """
    parts = (re.findall(r"\[([^\]]*)\]", part) for part in HOST_PATTERN.findall(hostlist))
    return sum(math.prod(map(_number_count, brackets)) for brackets in parts)


def _number_count(bracket: str) -> int:
    ends = (span.partition("-") for span in bracket.split(","))
    return sum(max(0, int(last or first) - int(first) + 1) for first, _, last in ends)


def _part_names(part: str) -> Iterator[str]:
    pieces = re.split(r"\[([^\]]*)\]", part)  # text, bracket, text, bracket … text
    choices = [list(_numbers(piece)) if index % 2 else [piece] for index, piece in enumerate(pieces)]
    return ("".join(chosen) for chosen in itertools.product(*choices))


def _numbers(bracket: str) -> Iterator[str]:
    for span in bracket.split(","):
        first, _, last = span.partition("-")
        yield from (str(number).zfill(len(first)) for number in range(int(first), int(last or first) + 1))
