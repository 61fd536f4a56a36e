"""``passingloop logs``: what runs have written, rank 0 of the newest attempt.

With --follow also what a run goes on to write, over preemptions into its next attempts, until it has ended.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from passingloop.cli.selection import add_runs, selected_runs
from passingloop.errors import ConfigError
from passingloop.rundir import ledger
from passingloop.rundir.directory import RunDir, owner_name
from passingloop.rundir.events import JobRef
from passingloop.rundir.submission import submission_of
from passingloop.status.query import MAX_PAUSE, MIN_PAUSE, shown_states, states_of
from passingloop.status.state import State
from passingloop.text import say

LOG_PERIOD = 0.5
"""Seconds between two readings of the log."""

Line = tuple[int | None, str]
"""An attempt, or None for the batch job around it, and a line that it wrote."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_runs(parser)
    parser.add_argument("-f", "--follow", action="store_true", help="go on until the run has ended")


def main(arguments: argparse.Namespace) -> int:
    """Print the logs. Returns 0; 1 if those of a run are closed to us.

    Raises:
        ConfigError: a word names no run, or there are several to follow.
    """
    runs = selected_runs(arguments)
    if arguments.follow and len(runs) > 1:
        raise ConfigError(f"{len(runs)} runs are asked for, but --follow is for one. Name one of them.")
    code = 0
    for run in runs:
        if len(runs) > 1:
            say(f"==> {run.path}")
        try:
            _print_log(run, arguments)
        except PermissionError as error:
            owner = owner_name(run.path.stat().st_uid)
            say(f"{error.filename} is closed to you. {owner}, whose run it is, can open it.")
            code = 1
    return code


def _print_log(run: RunDir, arguments: argparse.Namespace) -> None:
    for attempt, line in _stream(run) if arguments.follow else _log_lines(run):
        row = {"run": str(run.path), "attempt": attempt, "line": line}
        print(json.dumps(row, ensure_ascii=False) if arguments.json else line, flush=arguments.follow)


def _log_lines(run: RunDir) -> Iterator[Line]:
    attempt = ledger.read(run).next_attempt - 1
    lines = [(attempt, line) for line in _Log(run.log(attempt, 0)).remaining_lines()]
    yield from lines
    [state] = shown_states([run])
    if waiting := _waiting(state):
        say(waiting)
    yield from _batch_lines(state, has_log=bool(lines))


def _stream(run: RunDir) -> Iterator[Line]:
    attempt = max(0, ledger.read(run).next_attempt - 2)
    log, has_log = _Log(None), False
    for state in _states_until_end(run):
        for following in range(attempt + 1, ledger.read(run).next_attempt):
            yield from ((attempt, line) for line in log.remaining_lines())
            attempt, log, has_log = following, _Log(run.log(following, 0)), False
        for line in log.new_lines() if state.is_active else log.remaining_lines():
            has_log = True
            yield attempt, line
    yield from _batch_lines(state, has_log=has_log)


def _states_until_end(run: RunDir) -> Iterator[State]:
    """Its state every half second, as far as it is known then; the last is one in which it does not go on."""
    seen, asked, pause, said = -1, 0.0, MIN_PAUSE, ""
    while True:
        size = run.attempts.stat().st_size if run.attempts.exists() else 0
        if size != seen or time.monotonic() > asked + pause:
            pause = MIN_PAUSE if size != seen else min(MAX_PAUSE, 1.3 * pause)
            [state] = shown_states([run], patience=0.0)
            if not state.is_active:  # the last word is Slurm's own
                [state] = states_of([run])
            seen, asked = size, time.monotonic()
            if (now := _waiting(state)) and now != said:
                say(now)
            said = now
        yield state
        if not state.is_active:
            return
        time.sleep(LOG_PERIOD)


def _waiting(state: State) -> str:
    """What its job waits for, as a sentence; empty if it does not wait."""
    if state.waits_for and state.waits_since:
        since = datetime.fromtimestamp(state.waits_since).astimezone()
        return f"Slurm job {state.job_id} waits since {since:%H:%M:%S}: {state.waits_for}"
    if state.kind != "pending":
        return ""
    return f"Slurm job {state.job_id} waits: {state.message or 'it is not known why, as Slurm does not answer'}."


def _batch_lines(state: State, *, has_log: bool) -> Iterator[Line]:
    """What is left to say of a run that has written no log, or did not end well."""
    output = _batch_output(state)
    if output and not has_log:
        yield from ((None, line) for line in _Log(output).remaining_lines())
    elif output and state.kind in ("failed", "lost"):
        say(f"What its batch job wrote is in {output}.")
    elif not has_log and not state.is_active:
        say(f"{state.run.path} has no log; it is {state.kind}.")


def _batch_output(state: State) -> Path | None:
    """The file with the words of the batch step, which starts the attempt, or of the job before it for its data."""
    if not state.submission or not state.job_id:
        return None
    jobs = [JobRef(state.submission, state.job_id), *ledger.read(state.run).data_jobs]
    outputs = [submission_of(state.run, job.submission).output(job.job_id) for job in jobs]
    return next((output for output in outputs if output.exists() and output.stat().st_size), None)


class _Log:
    """A log that is read while it is written, by whole lines."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._read = 0
        """Bytes."""

    def new_lines(self) -> list[str]:
        """The lines that have come since the last call."""
        return self._lines(b"\n")

    def remaining_lines(self) -> list[str]:
        """The same at the end, when also a last line without its end is one."""
        return self._lines(None)

    def _lines(self, until: bytes | None) -> list[str]:
        if self._path is None or not self._path.exists():
            return []
        with self._path.open("rb") as file:
            file.seek(self._read)
            content = file.read()
        if until:
            content = content[: content.rfind(until) + 1]
        self._read += len(content)
        return content.decode(errors="replace").splitlines()
