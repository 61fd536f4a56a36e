"""What people are told: on stderr, as stdout belongs to whoever reads the data."""

import sys
from pathlib import Path


class Stop(Exception):
    """Ends the command: a message for people, and the exit code (2: asked wrongly, 3: something outside is missing)."""

    def __init__(self, message: str, code: int = 3) -> None:
        super().__init__(message)
        self.code = code


def say(message: str) -> None:
    print(f"{Path(sys.argv[0]).name}: {message}", file=sys.stderr, flush=True)
