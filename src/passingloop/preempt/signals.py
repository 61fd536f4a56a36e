"""Signals that ask to stop: in a training process they set a flag that the loop reads, in a command they raise."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType

from passingloop.errors import Interrupted

MESSAGE = "Interrupted. The same command continues from the last checkpoint."

PR_SET_PDEATHSIG = 1
"""From linux/prctl.h."""


class StopRequest:
    """Handles SIGINT, SIGTERM, SIGUSR2 and SIGHUP of this process from its construction on.

    SIGUSR2 is what `--signal` sends on many sites, and with Slurm's preempt_send_user_signal it comes instead of
    SIGTERM at a preemption.

    Before `begin_steps` there is nothing to save: a signal ends the process at once. After it a signal sets
    `requested`, which the loop reads; a second SIGINT ends the process at once, and a second SIGUSR2 does nothing. No
    exception is raised, because some libraries catch all exceptions, for example while they are imported.
    """

    def __init__(self) -> None:
        self.requested: str | None = None
        """The name of the last signal; None before the first."""
        self._in_steps = False
        self._leaving = False
        numbers = [signal.SIGINT, signal.SIGTERM, signal.SIGUSR2, signal.SIGHUP]
        for number in numbers:
            # Under nohup SIGHUP is ignored, and stays so.
            if number != signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, self._on_signal)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, numbers)  # blocked by the launcher until now

    def begin_steps(self) -> None:
        """From now on a signal sets `requested`."""
        self._in_steps = True

    def end_steps(self) -> None:
        """From now on a signal ends the process at once again."""
        self._in_steps = self._leaving = False

    def ignore(self) -> None:
        """From now on a signal is ignored, until `end_steps`: what is left takes no time and belongs together."""
        self._leaving = True

    def _on_signal(self, number: int, _: FrameType | None) -> None:
        at_once = self.requested is not None and number == signal.SIGINT
        if self._leaving or (self.requested is not None and number == signal.SIGUSR2):
            return  # signals are ignored, or a second one arrived during the next lines; or srun is asked again
        if at_once or not self._in_steps:
            self._leaving = True
            with suppress(OSError):  # the terminal is closed
                os.write(2, f"error: {MESSAGE}\n".encode())
            os._exit(Interrupted.exit_code)
        self.requested = signal.Signals(number).name


def stop_with_parent(parent: int) -> None:
    """Have the kernel send SIGTERM to this process when its parent, process `parent`, dies: prctl(2).

    Raises:
        Interrupted: the parent is dead already.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:
        raise Interrupted("The launcher was killed before training began. The same command starts again.")


@contextmanager
def lasting_interrupt() -> Iterator[None]:
    """A context in which SIGINT raises KeyboardInterrupt at once, and once more when the context ends.

    For commands that prepare a run: some libraries catch the first exception, and the run would go on to be trained.
    Python itself catches it in the callbacks of weak references and in `__del__`, and would print it there.
    """
    interrupted = False
    report = sys.unraisablehook

    def on_unraisable(unraisable: sys.UnraisableHookArgs) -> None:
        if not issubclass(unraisable.exc_type, KeyboardInterrupt):
            report(unraisable)

    def on_interrupt(number: int, frame: FrameType | None) -> None:
        nonlocal interrupted
        interrupted = True
        signal.default_int_handler(number, frame)

    before = signal.getsignal(signal.SIGINT)
    if before is signal.default_int_handler:  # else it is ignored, as in the background of a script
        signal.signal(signal.SIGINT, on_interrupt)
    sys.unraisablehook = on_unraisable
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
        sys.unraisablehook = report
        if interrupted:  # also if a library has made another error of it
            raise KeyboardInterrupt from None
