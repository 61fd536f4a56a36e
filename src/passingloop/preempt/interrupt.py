"""Ctrl-C while a command prepares a run: an exception as ever, and remembered, for a library may swallow that."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_heard = False


@contextmanager
def remembered() -> Iterator[None]:
    """Within it SIGINT raises KeyboardInterrupt, and `heard` says that it has come."""
    global _heard  # as there is one handler in a process  # noqa: PLW0603
    before = signal.getsignal(signal.SIGINT)
    if before is not signal.default_int_handler:  # ignored, as in the background of a script
        yield
        return
    _heard = False
    signal.signal(signal.SIGINT, _on_interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
        _heard = False


def heard() -> bool:
    """Whether Ctrl-C was pressed within `remembered`."""
    return _heard


def _on_interrupt(number: int, frame: FrameType | None) -> None:
    global _heard  # noqa: PLW0603
    _heard = True
    signal.default_int_handler(number, frame)
