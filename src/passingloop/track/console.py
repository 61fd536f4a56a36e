"""What a run prints for people, on stderr: its header, messages, and the table of results.

The output is readable without colours, and plain text if stderr is not a terminal. stdout is left to data.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping

from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from passingloop import figures
from passingloop.text import is_animated, lasting


def make_console(*, quiet: bool = False) -> Console:
    """The console of a command, on stderr. A `quiet` one, for all ranks but 0, prints nothing.

    rich decides about colours (NO_COLOR, FORCE_COLOR). `is_interactive`, whether lines may be redrawn, is set only for
    a real terminal, because FORCE_COLOR is often exported into jobs whose stderr is a file.

    It prints what can be printed. rich by itself raises SystemExit when a pipe is broken.
    """
    animated = not quiet and is_animated()
    stderr = lasting(sys.stderr)
    return Console(file=stderr, quiet=quiet, force_interactive=animated, markup=False, emoji=False, highlight=False)


def say(console: Console, text: str | Text) -> None:
    """Print `text` without markup and without line breaks, which would divide paths."""
    console.print(text, markup=False, emoji=False, highlight=False, soft_wrap=True)


def print_header(console: Console, rows: Mapping[str, str]) -> None:
    """Print the header of a run: a name and a text per line, aligned."""
    say(console, _aligned_text(rows))


def print_result_table(console: Console, title: str, rows: Mapping[str, float | int | str]) -> None:
    """Print the results of a run. The name of a row decides how its number is written; see `figures.value`."""
    shown = {name: figures.value(name, number) for name, number in rows.items()}
    say(console, Text.assemble((title, "bold"), "\n", _aligned_text(shown, indent="  ")))


def _aligned_text(rows: Mapping[str, str], indent: str = "") -> Text:
    width = max(map(cell_len, rows), default=0)
    lines = [
        Text.assemble(indent, (name, "dim"), " " * (width - cell_len(name) + 2), text) for name, text in rows.items()
    ]
    return Text("\n").join(lines)


def metric_lines(split: str, values: Mapping[str, float]) -> Iterator[str]:
    """Metrics as text. For a mix one line for the whole, and one for each source, whose metrics begin with its name."""
    for source in dict.fromkeys(name.rpartition("/")[0] for name in values):
        metrics = {name.rpartition("/")[2]: values[name] for name in values if name.rpartition("/")[0] == source}
        shown = "  ".join(f"{name} {value:.4f}" for name, value in metrics.items())
        yield f"{split}/{source}  {shown}" if source else f"{split}  {shown}"
