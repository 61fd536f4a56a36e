"""A run of a drill that is in the queue (``launcher=slurm``): the command submits it, and Slurm does things to it."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Sequence
from contextlib import suppress

from passingloop.cli.courses.shell_course import check, command, wait_for_exit
from passingloop.errors import SlurmRefused
from passingloop.report.drill_page import How
from passingloop.rundir import ledger
from passingloop.rundir.directory import RunDir
from passingloop.rundir.events import Cancel
from passingloop.slurm import control
from passingloop.status.query import states_of

PAUSE = 3.0
"""Seconds between two questions to Slurm."""

SURE = 2
"""So many times in a row a run has to be found over: between two attempts it looks like that for a moment."""


class QueueCourse:
    """The job of `run`, and what can be done to it."""

    kinds: tuple[How, ...] = ("requeue", "kill", "signal")

    def __init__(self, run: RunDir, words: Sequence[str]) -> None:
        self.run = run
        self.starts = 0
        """How often the command was given."""
        self._words = words
        self._process: subprocess.Popen[bytes] | None = None
        self._times_over = 0
        self._next_query = 0.0

    def start(self) -> None:
        """Submit: afresh the first time, to continue every other.

        Raises:
            ConfigError, MissingError: that cannot be done; the command has said why.
        """
        self._process = command([*self._words, f"rerun={'false' if self.starts else 'true'}"])
        self.starts += 1
        check(self._process.wait(), self.run)
        self._postpone_query()

    def is_over(self) -> bool:
        """Whether the run is done, or no job is at it or going to be."""
        if self.run.result.exists():
            return True
        if time.monotonic() < self._next_query:
            return False
        [state] = states_of([self.run])
        self._next_query = time.monotonic() + PAUSE
        self._times_over = 0 if state.is_active or not state.confirmed else self._times_over + 1
        return self._times_over >= SURE

    def interrupt(self, how: How) -> None:
        """Have Slurm requeue the job, or send SIGKILL or SIGTERM to the processes that train."""
        job = ledger.read(self.run).newest_job
        assert job, "it trains"
        if how == "requeue":
            with suppress(SlurmRefused):  # it has ended meanwhile
                control.requeue_job(job.job_id)
        elif how == "kill":
            control.signal_steps(job.job_id, "KILL")
        else:
            control.cancel_jobs([job.job_id], signal="TERM")
        self._postpone_query()

    def stop(self) -> None:
        """Leave nothing in the queue."""
        if self._process:
            wait_for_exit(self._process)
        if (job := ledger.read(self.run).newest_job) and not self.run.result.exists():
            ledger.append(self.run, Cancel())
            control.cancel_jobs([job.job_id])

    def _postpone_query(self) -> None:
        self._times_over = 0
        self._next_query = time.monotonic() + PAUSE
