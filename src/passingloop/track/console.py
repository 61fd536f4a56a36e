"""What a run shows to people: a header, its progress, messages, what came out.

Quiet, aligned, readable without colour, plain text off a terminal.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from passingloop.track import figures
from passingloop.track.log_handlers import log_to
from passingloop.track.progress import Progress
from passingloop.track.terminal import make_console, say

__all__ = ["make_console", "say", "header", "Progress", "result_table", "log_to", "metric_lines"]


def header(console: Console, rows: Mapping[str, str]) -> None:
    """Print what a run is: what is learned, on what, from how much data, where it is written."""
    say(console, _aligned(rows))


def result_table(console: Console, title: str, rows: Mapping[str, float | int | str]) -> None:
    """Print what came out. A row named `…loss`, `…seconds` or `…/s` is shown as such."""
    shown = {name: figures.value(name, number) for name, number in rows.items()}
    say(console, Text.assemble((title, "bold"), "\n", _aligned(shown, indent="  ")))


def _aligned(rows: Mapping[str, str], indent: str = "") -> Text:
    width = max(map(cell_len, rows), default=0)
    lines = [
        Text.assemble(indent, (name, "dim"), " " * (width - cell_len(name) + 2), text) for name, text in rows.items()
    ]
    return Text("\n").join(lines)


def metric_lines(split: str, values: Mapping[str, float]) -> Iterator[str]:
    """Metrics in words; of a mix a line for the whole and one for each source, whose metrics begin with its name."""
    for source in dict.fromkeys(name.rpartition("/")[0] for name in values):
        theirs = {name.rpartition("/")[2]: values[name] for name in values if name.rpartition("/")[0] == source}
        shown = "  ".join(f"{name} {value:.4f}" for name, value in theirs.items())
        yield f"{split}/{source}  {shown}" if source else f"{split}  {shown}"
