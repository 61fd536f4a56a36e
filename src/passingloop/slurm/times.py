"""Slurm's notation of time limits and of points in time."""

from __future__ import annotations

import datetime
import re

TIME = re.compile(r"(?:(?P<days>\d+)-)?(?P<parts>\d+(?::\d+){0,2})")


def seconds(text: str) -> float | None:
    """``30`` (minutes), ``1:30`` (minutes, seconds), ``4:00:00``, ``2-12`` or ``2-12:30`` in seconds; else None.

    From sbatch(1), --time. UNLIMITED, INVALID and the like are None.
    """
    found = TIME.fullmatch(text.strip())
    if not found:
        return None
    parts = [int(part) for part in found["parts"].split(":")]
    if found["days"] is not None:
        hours, minutes, rest = [*parts, 0, 0][:3]
    elif len(parts) == 3:
        hours, minutes, rest = parts
    else:
        hours, (minutes, rest) = 0, [*parts, 0][:2]
    return int(found["days"] or 0) * 86400.0 + hours * 3600 + minutes * 60 + rest


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
