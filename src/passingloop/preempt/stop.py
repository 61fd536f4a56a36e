"""A request to stop. Handlers set a flag and return; the training loop looks at it between steps."""

from __future__ import annotations

import signal
from types import FrameType

from passingloop.errors import Interrupted


class StopRequest:
    """Owns SIGINT, SIGTERM and SIGHUP of this process from construction on.

    Before `begin_steps` there is nothing to save, and a request ends the process at once. Afterwards it sets
    `requested`, for the loop to see; a second SIGINT ends it at once.
    """

    def __init__(self) -> None:
        self.requested: str | None = None
        """The signal's name, once there was one."""
        self._in_steps = False
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._on_signal)

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
