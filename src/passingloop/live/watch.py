"""Keeps what is shown: asks Slurm every few seconds, and reads the files of the runs in between."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace

from passingloop.errors import MissingError, SlurmMissing, SlurmRefused
from passingloop.live.board import Board, Machine, Slurm
from passingloop.live.cluster_use import cluster_use
from passingloop.live.queue_reading import QUESTION, Queue, pause
from passingloop.live.run_reading import RunReader
from passingloop.live.run_row import Curves, Place, RunRow
from passingloop.pending.rank import places
from passingloop.site import site
from passingloop.slurm.polling.polled_commands import polled_reply
from passingloop.slurm.polling.polled_queue import Snapshot, polled_jobs
from passingloop.slurm.waiting.queue_table import QueuedJob
from passingloop.status.state import State

NO_SLURM = Snapshot(asked=float("inf"), jobs=None)


class Watch:
    """What is known of the cluster and of the runs. `ask` and `look` may be called by two threads.

    Args:
        interval: seconds between two looks; Slurm is asked less often, see `passingloop.live.queue_reading.pause`.
        read_machine: what this machine does, where there is no Slurm.
    """

    def __init__(self, runs: RunReader, read_machine: Callable[[], Machine], interval: float) -> None:
        self._runs, self._read_machine, self._interval = runs, read_machine, interval
        self._poll_seconds = site().poll_seconds
        self._slurm = Slurm()
        self._queue: Queue | None = None
        self._shared = False
        self._snapshot = Snapshot(asked=0.0, jobs=None)
        self._states: list[State] | None = None
        self._lock = threading.Lock()

    def ask(self) -> None:
        """Ask Slurm, which may take as long as it lets its commands wait.

        Raises:
            ConfigError: the site's settings cannot be read.
        """
        now = time.time()
        if self._states is None:
            self.look()  # it tells whether there are jobs to ask about
        try:
            reply = polled_reply(QUESTION)
            snapshot = self._own_jobs(now) if reply.content else Snapshot(asked=now, jobs=None)
        except SlurmMissing:
            self._slurm, self._snapshot, self._queue = Slurm(is_there=False), NO_SLURM, None
            return
        except SlurmRefused as refusal:
            self._slurm = replace(self._slurm, is_there=True, silent_since=None, problem=str(refusal))
            return
        except MissingError:
            self._slurm = replace(self._slurm, silent_since=self._slurm.silent_since or now)
            return
        self._shared, self._snapshot = reply.shared, snapshot
        if reply.content is None:
            self._slurm = replace(self._slurm, is_there=True, silent_since=self._slurm.silent_since or reply.asked)
        else:
            self._queue, self._slurm = reply.content, Slurm(answered=reply.answered)

    def look(self, *, all_anew: bool = False) -> Board:
        """Read the files of the runs, as far as they may have changed."""
        with self._lock:
            return self._look(all_anew=all_anew)

    def _look(self, *, all_anew: bool) -> Board:
        now, slurm, queue = time.time(), self._slurm, self._queue
        states = self._states = self._runs.states(self._snapshot, time.monotonic(), all_anew=all_anew)
        jobs = {job.job_id: job for job in queue.jobs} if queue else {}
        own = _own_jobs(states, queue)
        lines = places(queue.jobs, own.values()) if queue else {}
        rows = tuple(self._row(state, own.get(state.job_id or ""), jobs, lines) for state in states)
        return Board(
            now=now,
            slurm=slurm,
            rows=rows,
            cluster=cluster_use(queue.nodes, queue.jobs, os.getuid()) if queue else None,
            machine=None if slurm.is_there else self._read_machine(),
        )

    def curves(self, row: RunRow) -> Curves:
        """The curves of a run; they are read for what is on the screen only."""
        with self._lock:
            return self._runs.curves(row.state)

    def pause(self, untouched: float) -> float:
        """Seconds until `ask` is to be called again, if no key was pressed for `untouched` seconds."""
        return pause(self._poll_seconds, self._interval, shared=self._shared, untouched=untouched)

    def _own_jobs(self, now: float) -> Snapshot:
        """The jobs of the runs; Slurm is not asked if there are none."""
        users = self._owners_of_jobs()
        return polled_jobs(users) if users else Snapshot(asked=now, jobs={})

    def _owners_of_jobs(self) -> set[int]:
        """The users whose jobs train runs, or will; a run that was named may be another user's."""
        jobs = [state for state in self._states or () if state.is_active and state.launcher == "slurm"]
        found = set()
        for state in jobs:
            with suppress(OSError):  # it has just been removed
                found.add(state.run.path.stat().st_uid)
        return found

    def _row(
        self, state: State, job: QueuedJob | None, jobs: dict[str, QueuedJob], lines: dict[str, tuple[int, int]]
    ) -> RunRow:
        place = lines.get(job.number) if job and state.kind == "pending" else None
        running = jobs.get(state.job_id or "")
        return RunRow(
            state=state,
            progress=self._runs.progress(state),
            place=Place(place=place[0], of=place[1]) if place else None,
            limit_ends=running.ends if running and state.kind == "running" else None,
        )


def _own_jobs(states: list[State], queue: Queue | None) -> dict[str, QueuedJob]:
    """The jobs that runs wait for, by the job ids of the runs."""
    waiting = {state.job_id for state in states if state.kind == "pending" and state.job_id}
    if not queue or not waiting:
        return {}
    arrays = {name.partition("_")[0] for name in waiting}
    found: dict[str, QueuedJob] = {}
    for job in queue.jobs:
        if job.waits and job.array_id in arrays:
            found |= {name: job for name in waiting if job.includes(name)}
    return found
