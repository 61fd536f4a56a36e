"""What people are told on stderr: stdout belongs to the data of a command."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence

from passingloop.errors import Interrupted, PassingloopError


def say(text: str) -> None:
    """Print a line, at once."""
    print(text, file=sys.stderr, flush=True)


def exit_code(command: Callable[[], int]) -> int:
    """The exit code of `command`: an error that is meant for people is printed as its message.

    Raises:
        PassingloopError: with PASSINGLOOP_TRACEBACK=1 in the environment, for those who want the traceback.
    """
    try:
        return command()
    except PassingloopError as error:
        if os.environ.get("PASSINGLOOP_TRACEBACK") == "1":
            raise
        say(f"{_mark()} {error}")
        return error.exit_code
    except KeyboardInterrupt:
        say(f"{_mark()} Interrupted.")
        return Interrupted.exit_code


def is_animated() -> bool:
    """Whether standard error is a terminal on which lines can be drawn again."""
    return sys.stderr.isatty() and os.environ.get("TERM", "dumb") != "dumb"


def has_colour() -> bool:
    """Whether a terminal has colours, and its user wants them (https://no-color.org)."""
    return not os.environ.get("NO_COLOR") and os.environ.get("TERM", "dumb") != "dumb"


def and_more(items: Sequence[object], most: int) -> str:
    """The first `most` of `items`, separated by commas, and how many more there are."""
    shown = ", ".join(map(str, items[:most]))
    return f"{shown} and {len(items) - most} more" if len(items) > most else shown


def _mark() -> str:
    return "\x1b[1;31merror:\x1b[0m" if sys.stderr.isatty() and has_colour() else "error:"
