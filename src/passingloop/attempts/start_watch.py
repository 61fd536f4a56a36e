"""Whether the processes of a submitted attempt have started: what srun waits for meanwhile is said and written down."""

from __future__ import annotations

import re
import time

from passingloop.attempts.oom import stderr_after, stderr_size
from passingloop.errors import PassingloopError
from passingloop.rundir import ledger
from passingloop.rundir.directory import RunDir
from passingloop.rundir.events import Wait
from passingloop.slurm import control
from passingloop.text import say

PERIOD = 15.0
"""Seconds from the start of srun until Slurm is asked whether there is a step, and between two such questions. Most
attempts have written their first line by then, and Slurm is not asked."""

SRUN_MESSAGE = re.compile(rb"^srun: (?:error: )?(.+)$", re.MULTILINE)


class StartWatch:
    """Watches the start of an attempt, from when srun is called.

    srun waits without limit where Slurm cannot create a step, and says so only in the output of the batch script.

    Args:
        job_id: the job that was submitted for it; None in a shell, where people see what srun says.
    """

    def __init__(self, run: RunDir, attempt: int, job_id: str | None) -> None:
        self._run, self._attempt, self._job_id = run, attempt, job_id
        self._log = run.log(attempt, 0)
        self._log_before, self._stderr_before = self._log.stat().st_size, stderr_size()
        self._next, self._reason = time.monotonic() + PERIOD, ""
        self._is_over = False

    def sample(self) -> None:
        """Look, if it is time to; to be called several times a second."""
        if self._is_over or self._job_id is None or time.monotonic() < self._next:
            return
        try:
            self._is_over = self.has_output() or bool(control.step_ids(self._job_id))
        except PassingloopError:  # Slurm does not answer, so it is not known
            pass
        else:
            self._write()
        self._next = time.monotonic() + PERIOD

    def srun_message(self) -> str | None:
        """The last message of srun, if no process has written anything."""
        return None if self.has_output() else self._newest_message()

    def has_output(self) -> bool:
        """Whether a process has written something."""
        return self._log.stat().st_size > self._log_before

    def _newest_message(self) -> str | None:
        messages = SRUN_MESSAGE.findall(stderr_after(self._stderr_before))
        return messages[-1].decode(errors="replace").rstrip(".") if messages else None

    def _write(self) -> None:
        if self._is_over:
            if self._reason:
                ledger.append(self._run, Wait(attempt=self._attempt, reason=None))
            return
        reason = f"srun waits for Slurm to start the processes: {self._newest_message() or 'it gives no reason'}."
        if reason != self._reason:
            self._reason = reason
            say(reason)
            ledger.append(self._run, Wait(attempt=self._attempt, reason=reason))
