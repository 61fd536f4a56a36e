"""Numbers as bars of characters: readable in any terminal, and without colour."""

from __future__ import annotations

from collections.abc import Sequence

ACROSS = " ▏▎▍▌▋▊▉█"
UP = " ▁▂▃▄▅▆▇█"
"""From nothing to a whole character, in eighths."""

MARK = "│"


def across(share: float, width: int) -> str:
    """A bar of `width` characters, `share` of it filled; what is not nothing can be seen."""
    eighths = max(round(share * width * 8), share > 0)
    whole, rest = divmod(eighths, 8)
    return ("█" * whole + ACROSS[rest] * (rest > 0)).ljust(width)


def upright(counts: Sequence[int]) -> str:
    """A character for each count, the largest a whole one; what is not nothing can be seen."""
    most = max(counts, default=0) or 1
    return "".join(UP[max(round(8 * count / most), count > 0)] for count in counts)
