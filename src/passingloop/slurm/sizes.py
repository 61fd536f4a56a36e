"""Host memory in Slurm's notation."""

from __future__ import annotations

UNITS = {"K": 1, "M": 1024, "G": 1024**2, "T": 1024**3}
"""Kibibytes; sbatch(1), --mem: without a unit it is megabytes."""


def doubled(mem: str, most: str | None) -> str:
    """Twice `mem`, but not more than `most`; in the largest unit that is exact."""
    wanted = 2 * _kibibytes(mem)
    kibibytes = min(wanted, _kibibytes(most)) if most else wanted
    unit = next(unit for unit in reversed(UNITS) if kibibytes % UNITS[unit] == 0)
    return f"{kibibytes // UNITS[unit]}{unit}"


def is_more(mem: str, than: str) -> bool:
    """Whether `mem` is more than the other."""
    return _kibibytes(mem) > _kibibytes(than)


def _kibibytes(mem: str) -> int:
    unit = mem[-1] if mem[-1] in UNITS else "M"
    return int(mem.rstrip("KMGT")) * UNITS[unit]
