"""Standard error as people see it. Standard output is for data and is never touched here."""

from __future__ import annotations

from contextlib import suppress

from rich.console import Console
from rich.text import Text

from passingloop.text import is_animated


def make_console(*, quiet: bool = False) -> Console:
    """The console of a command; a `quiet` one, for all processes but the first, prints nothing.

    Colours are rich's decision (NO_COLOR, FORCE_COLOR). `is_interactive`, whether things may move, asks for a real
    terminal: FORCE_COLOR is often exported into jobs whose standard error is a file.
    """
    animated = not quiet and is_animated()
    return Console(stderr=True, quiet=quiet, force_interactive=animated, markup=False, emoji=False, highlight=False)


def say(console: Console, text: str | Text) -> None:
    """Print `text` as it is: no markup, and no line breaks that would tear a path apart.

    Where it cannot be printed, the terminal being gone or the disk of the log full, the run goes on without.
    """
    with suppress(OSError):
        console.print(text, markup=False, emoji=False, highlight=False, soft_wrap=True)
