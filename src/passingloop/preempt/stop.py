"""A request to stop. Handlers set a flag and return; the training loop looks at it between steps."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from types import FrameType

from passingloop.errors import Interrupted


def end_at_once() -> None:
    """Until there is a `StopRequest`, a request ends this process on the spot.

    An exception would not do: libraries catch, in their own imports, whatever is raised there. The launcher, which
    sees the exit code, says it and writes it down.
    """
    _own(lambda number, frame: os._exit(Interrupted.exit_code))


class StopRequest:
    """Owns SIGINT, SIGTERM and SIGHUP of this process from construction on.

    Before `begin_steps` there is nothing to save, and a request ends the process at once. Afterwards it sets
    `requested`, for the loop to see; a second SIGINT ends it at once.
    """

    def __init__(self) -> None:
        self.requested: str | None = None
        """The signal's name, once there was one."""
        self._in_steps = False
        _own(self._on_signal)

    def begin_steps(self) -> None:
        """From now on a request waits for the next step boundary."""
        self._in_steps = True

    def end_steps(self) -> None:
        """From now on a request ends the process at once again."""
        self._in_steps = False

    def _on_signal(self, number: int, _: FrameType | None) -> None:
        again = self.requested is not None and number == signal.SIGINT
        first, self.requested = self.requested is None, signal.Signals(number).name
        if again or (first and not self._in_steps):
            raise Interrupted("Interrupted. The same command continues from the last checkpoint.")


def _own(handler: Callable[[int, FrameType | None], None]) -> None:
    """Take the signals, which the launcher holds back until then. Under nohup SIGHUP is ignored, and stays so."""
    numbers = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]
    for number in numbers:
        if number != signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, handler)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, numbers)
