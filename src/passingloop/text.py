"""What people are told, on stderr: stdout belongs to the run directories."""

from __future__ import annotations

import sys


def say(text: str) -> None:
    """Tell people, at once."""
    print(text, file=sys.stderr, flush=True)
