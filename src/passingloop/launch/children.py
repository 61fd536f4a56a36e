"""The processes of an attempt on this machine: started, told to stop when we are, waited for."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType, TracebackType

from passingloop.errors import Interrupted

PATIENCE = 30.0
"""Seconds that the other processes of a run get to end by themselves after one has failed."""


@dataclass(frozen=True, slots=True)
class Ending:
    """How the first process that failed ended, or rank 0 if none did."""

    rank: int
    code: int
    """Its exit code; a signal's number comes negative."""


class Children:
    """Within it, requests to stop (SIGINT, SIGTERM, SIGHUP) are passed on to the processes, and we see how they end.

    Ctrl-C in a terminal reaches them directly as well, so the first is forwarded as SIGTERM, which asks for the
    same: only a second SIGINT means "at once" to them.
    """

    def __init__(self, lock: int) -> None:
        """Each process gets the descriptor `lock`, and holds with it what it locks."""
        self.asked_to_stop = False
        self._lock = lock
        self._processes: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Children:
        numbers = [signal.SIGINT, signal.SIGTERM]
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # as nohup has it
            numbers.append(signal.SIGHUP)
        self._before = {number: signal.signal(number, self._forward) for number in numbers}
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def start(self, command: Sequence[str], environments: Iterable[Mapping[str, str]], logs: Sequence[Path]) -> None:
        """One process per environment and log file. Rank 0 speaks to the terminal, the others into their logs.

        The signals are held back meanwhile, and in each process until its `StopRequest` is there to take them, so
        that none gets lost and none ends a process unheard.
        """
        held = signal.pthread_sigmask(signal.SIG_BLOCK, self._before)
        try:
            if not self.asked_to_stop:
                for environment, log in zip(environments, logs, strict=True):
                    self._processes.append(self._start(command, environment, log))
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, held)

    def _start(self, command: Sequence[str], environment: Mapping[str, str], log: Path) -> subprocess.Popen[bytes]:
        leads = environment["RANK"] == "0"
        with log.open("ab") as file:
            return subprocess.Popen(
                command,
                env=environment,
                stdout=sys.stderr if leads else file,
                stderr=None if leads else file,
                pass_fds=[self._lock],
            )

    def wait(self) -> Ending:
        """Wait until all have ended. Without any, because we were asked to stop before, it is as if one had stopped."""
        if not self._processes:
            return Ending(0, Interrupted.exit_code)
        failed: Ending | None = None
        deadline = float("inf")
        while None in [process.poll() for process in self._processes]:  # polls all: one may have died unseen
            time.sleep(0.02)
            if failed is None:
                failed = self._failed()
                deadline = time.monotonic() + PATIENCE if failed else deadline
            elif time.monotonic() > deadline:
                for process in self._processes:
                    process.kill()
        return failed or self._failed() or Ending(0, 0)

    def _failed(self) -> Ending | None:
        codes = enumerate(process.returncode for process in self._processes)
        return next((Ending(rank, code) for rank, code in codes if code), None)

    def _forward(self, number: int, _: FrameType | None) -> None:
        again = self.asked_to_stop and number == signal.SIGINT
        self.asked_to_stop = True
        for process in self._processes:
            if process.poll() is None:
                process.send_signal(signal.SIGINT if again else signal.SIGTERM)
