"""The processes that an attempt starts here: one per rank, or srun. Told to stop when we are, and waited for."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from types import FrameType, TracebackType

from passingloop.errors import Interrupted

PATIENCE = 30.0
"""Seconds that the other processes of a run get to end by themselves after one has failed."""

SIGNALLED = 128
"""srun and shells add it to the number of the signal that has killed a process."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Process:
    """One process to start."""

    command: Sequence[str]
    environment: Mapping[str, str]
    log: Path | None = None
    """The file it writes to; None is our own stderr."""
    own_session: bool = False
    """Out of reach of the terminal's Ctrl-C: it hears of it from us only."""
    stop: signal.Signals | None = signal.SIGTERM
    """What asks it to stop; None where someone else asks the training processes."""
    kill: signal.Signals = signal.SIGKILL
    """What kills it, and what it has started on other nodes, whatever those do."""
    unblocks_signals: bool = True
    """Whether the signals that ask to stop are blocked in it from its start until it can take them and unblocks them.
    srun up to 24.11 unblocks them as well; 26.05 does not, and would never get any."""
    stop_again: float | None = None
    """Seconds after which it is asked again to stop, and again. srun loses what comes while it starts the processes."""
    hint: str | None = None
    """What may have kept the run from beginning, for people, if it ends before any process of the run has begun."""


@dataclass(frozen=True, slots=True)
class Ending:
    """How the first process that failed ended, or the first of all if none did."""

    rank: int
    """Its place among those that were started here."""
    code: int
    """Its exit code; a signal's number comes negative."""


class Children:
    """Within it, requests to stop (SIGINT, SIGTERM, SIGUSR2, SIGHUP) are passed on to the processes, whose end we see.

    Ctrl-C in a terminal reaches them directly as well, so the first is forwarded as another signal, which asks for the
    same: only a second SIGINT means "at once" to them.
    """

    def __init__(self, lock: int) -> None:
        """Each process gets the descriptor `lock`, and holds with it what it locks."""
        self.asked_to_stop = False
        self._at_once = False
        self._held: list[int] | None = None
        """While processes are being started: the signals that have come meanwhile."""
        self._lock = lock
        self._processes: list[subprocess.Popen[bytes]] = []
        self._stop: signal.Signals | None = None
        self._kill = signal.SIGKILL
        self._pause: float | None = None
        self._asked = 0.0
        """When they were last asked to stop."""
        self._killed: float | None = None
        """When they were to be killed."""

    def __enter__(self) -> Children:
        numbers = [signal.SIGINT, signal.SIGTERM, signal.SIGUSR2]
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # as nohup has it
            numbers.append(signal.SIGHUP)
        self._before = {number: signal.signal(number, self._forward) for number in numbers}
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def start(self, processes: Sequence[Process]) -> bool:
        """Start them all, unless we were asked to stop meanwhile. Returns whether they were started.

        The signals are held back until they run, and in a process that `unblocks_signals` until its `StopRequest` is
        there to take them, so that none gets lost and none ends a process unheard.
        """
        self._held = []
        try:
            if not self.asked_to_stop:
                self._stop, self._kill, self._pause = processes[0].stop, processes[0].kill, processes[0].stop_again
                self._processes += map(self._start, processes)
        finally:
            held, self._held = self._held, None
            for number in held:
                self._forward(number, None)
        return bool(self._processes)

    def _start(self, process: Process) -> subprocess.Popen[bytes]:
        mask = _blocked(self._before) if process.unblocks_signals else nullcontext()
        with mask, process.log.open("ab") if process.log else nullcontext() as file:
            return subprocess.Popen(
                process.command,
                env=process.environment,
                stdin=subprocess.DEVNULL if process.own_session else None,
                stdout=file or sys.stderr,
                stderr=file,
                pass_fds=[self._lock],
                start_new_session=process.own_session,
            )

    def wait(self, *meanwhile: Callable[[], None]) -> Ending:
        """Wait until all have ended. Without any, because we were asked to stop before, it is as if one had stopped.

        After a second SIGINT that is how they end, whatever it does to them: within a second of the first, srun kills.

        Args:
            meanwhile: are called over and over.
        """
        if not self._processes:
            return Ending(0, Interrupted.exit_code)
        failed: Ending | None = None
        deadline = float("inf")
        while None in [process.poll() for process in self._processes]:  # polls all: one may have died unseen
            if self._killed is not None and time.monotonic() - self._killed > PATIENCE:
                if time.monotonic() - self._killed > 2 * PATIENCE:  # they are in the hands of the kernel
                    return Ending(0, -signal.SIGKILL)
                self._send(signal.SIGKILL)  # to an srun that does not reach Slurm
            time.sleep(0.02)
            if self._is_unheard():
                self.request_stop()
            for look in meanwhile:
                look()
            if failed is None:
                failed = self._failed()
                deadline = time.monotonic() + PATIENCE if failed else deadline
            elif time.monotonic() > deadline:
                self._send(signal.SIGKILL)
        failed = failed or self._failed()
        if failed and (self._at_once or self._was_ended_by_request(failed)):
            return Ending(failed.rank, Interrupted.exit_code)
        return failed or Ending(0, 0)

    def request_stop(self) -> None:
        """Ask them to stop, as when we are asked to; nothing where someone else asks the training processes."""
        self._asked = time.monotonic()
        if self._stop is not None:
            self._send(self._stop)

    def kill(self) -> None:
        """Kill them all, in the order of their ranks; `wait` then sees their end."""
        self._killed = time.monotonic()
        self._send(self._kill)

    def _send(self, number: signal.Signals) -> None:
        for process in self._processes:
            if process.poll() is None:
                process.send_signal(number)

    def _failed(self) -> Ending | None:
        codes = enumerate(process.returncode for process in self._processes)
        return next((Ending(rank, code) for rank, code in codes if code), None)

    def _is_unheard(self) -> bool:
        """Whether it is time to ask once more."""
        waits = self.asked_to_stop and not self._at_once and self._pause is not None
        return waits and time.monotonic() > self._asked + (self._pause or 0.0)

    def _was_ended_by_request(self, failed: Ending) -> bool:
        """Whether it was our request that ended a process, here or on a node, which could not take it yet."""
        return self.asked_to_stop and self._stop is not None and failed.code in (-self._stop, SIGNALLED + self._stop)

    def _forward(self, number: int, _: FrameType | None) -> None:
        if self._held is not None:
            self._held.append(number)
            return
        self._at_once |= self.asked_to_stop and number == signal.SIGINT
        self.asked_to_stop = True
        if not self._at_once:
            self.request_stop()
        elif self._stop is not None:
            self._send(signal.SIGINT)


@contextmanager
def _blocked(numbers: Iterable[int]) -> Iterator[None]:
    before = signal.pthread_sigmask(signal.SIG_BLOCK, numbers)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
