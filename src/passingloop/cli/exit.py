"""How a command ends: a sentence on stderr and an exit code, or the traceback for those who ask for it."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable

from passingloop.errors import PassingloopError


def exit_code(command: Callable[[], int]) -> int:
    """Run `command`; turn an error that is meant for people into its message and exit code."""
    try:
        return command()
    except PassingloopError as error:
        if os.environ.get("PASSINGLOOP_TRACEBACK") == "1":
            raise
        print(f"{_mark()} {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print(f"{_mark()} Interrupted.", file=sys.stderr)
        return 130


def has_colour() -> bool:
    """Whether people who look at a terminal want colours, and it has them."""
    return not os.environ.get("NO_COLOR") and os.environ.get("TERM", "dumb") != "dumb"


def _mark() -> str:
    colour = sys.stderr.isatty() and "NO_COLOR" not in os.environ
    return "\x1b[1;31merror:\x1b[0m" if colour else "error:"
