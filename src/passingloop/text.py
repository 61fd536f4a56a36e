"""Messages to the user, on stderr; stdout is for a command's data."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence

from passingloop.errors import Interrupted, PassingloopError


def say(text: str) -> None:
    """Print a line to stderr, unbuffered."""
    print(text, file=sys.stderr, flush=True)


def exit_code(command: Callable[[], int]) -> int:
    """Run `command` and return its exit code. Of a PassingloopError only the message is printed.

    Raises:
        PassingloopError: with PASSINGLOOP_TRACEBACK=1 in the environment, so that Python prints the traceback.
    """
    try:
        return command()
    except PassingloopError as error:
        if os.environ.get("PASSINGLOOP_TRACEBACK") == "1":
            raise
        say(f"{_error_label()} {error}")
        return error.exit_code
    except KeyboardInterrupt:
        say(f"{_error_label()} Interrupted.")
        return Interrupted.exit_code


def is_animated() -> bool:
    """Whether stderr is a terminal on which lines can be redrawn."""
    return sys.stderr.isatty() and os.environ.get("TERM", "dumb") != "dumb"


def has_colour() -> bool:
    """Whether the terminal has colours and the user has not disabled them (https://no-color.org)."""
    return not os.environ.get("NO_COLOR") and os.environ.get("TERM", "dumb") != "dumb"


def list_excerpt(items: Sequence[object], most: int) -> str:
    """The first `most` of `items`, separated by commas, and how many more there are: ``a, b and 3 more``."""
    shown = ", ".join(map(str, items[:most]))
    return f"{shown} and {len(items) - most} more" if len(items) > most else shown


def _error_label() -> str:
    return "\x1b[1;31merror:\x1b[0m" if sys.stderr.isatty() and has_colour() else "error:"
