"""Requests to stop: in a training process a flag that the loop reads between steps, in a command an exception."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from passingloop.errors import Interrupted

MESSAGE = "Interrupted. The same command continues from the last checkpoint."


class StopRequest:
    """Owns SIGINT, SIGTERM, SIGUSR2 and SIGHUP of this process from construction on.

    SIGUSR2 is what `--signal` sends on many sites, and with Slurm's preempt_send_user_signal it comes instead of
    SIGTERM at a preemption.

    Before `begin_steps` there is nothing to save, and a request ends the process on the spot. Afterwards it sets
    `requested`, for the loop to see; a second SIGINT ends it on the spot. No exception is raised: libraries catch, in
    their imports for one, whatever comes.
    """

    def __init__(self) -> None:
        self.requested: str | None = None
        """The signal's name, once there was one."""
        self._in_steps = False
        self._leaving = False
        numbers = [signal.SIGINT, signal.SIGTERM, signal.SIGUSR2, signal.SIGHUP]
        for number in numbers:
            # Under nohup SIGHUP is ignored, and stays so.
            if number != signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, self._on_signal)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, numbers)  # which the launcher holds back until now

    def begin_steps(self) -> None:
        """From now on a request waits for the next step boundary."""
        self._in_steps = True

    def end_steps(self) -> None:
        """From now on a request ends the process on the spot again."""
        self._in_steps = False

    def _on_signal(self, number: int, _: FrameType | None) -> None:
        at_once = self.requested is not None and number == signal.SIGINT
        if self._leaving:
            return  # a second signal during the next two lines
        if at_once or not self._in_steps:
            self._leaving = True
            os.write(2, f"error: {MESSAGE}\n".encode())
            os._exit(Interrupted.exit_code)
        self.requested = signal.Signals(number).name


@contextmanager
def lasting_interrupt() -> Iterator[None]:
    """For a command that prepares a run: SIGINT within it raises KeyboardInterrupt at once, and again at its end.

    Some libraries catch the first one. Without the second the run would be trained although it was interrupted.
    """
    interrupted = False

    def on_interrupt(number: int, frame: FrameType | None) -> None:
        nonlocal interrupted
        interrupted = True
        signal.default_int_handler(number, frame)

    before = signal.getsignal(signal.SIGINT)
    if before is signal.default_int_handler:  # else it is ignored, as in the background of a script
        signal.signal(signal.SIGINT, on_interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if interrupted:
        raise KeyboardInterrupt
