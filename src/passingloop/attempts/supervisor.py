"""Attempts at a run: locked, written into the ledger, their processes started and waited for, and what follows."""

from __future__ import annotations

import os

from passingloop import files
from passingloop.attempts.ending import close
from passingloop.attempts.followup import follow, may_begin
from passingloop.attempts.oom import OomWatch
from passingloop.config.build import to_plain
from passingloop.config.settings import RunConfig
from passingloop.errors import Interrupted
from passingloop.launch.place import QUEUED, Place
from passingloop.launch.processes import Children
from passingloop.plan import signature
from passingloop.rundir import ledger, record
from passingloop.rundir.code import Code
from passingloop.rundir.layout import RunDir
from passingloop.rundir.lock import hold
from passingloop.text import say

LEAVING = 10.0
"""Seconds to wait for the lock of an attempt that has ended: its processes take leave of each other, or of Slurm."""


ELSEWHERE = os.EX_TEMPFAIL
"""Exit code of a job in which nothing was begun, or that another job goes on with."""


def carry_out(run: RunDir, config: RunConfig, code: Code, place: Place, patience: float = 0.0) -> int:
    """Make attempts at `run`, unless it is done, as long as each is to be followed by another here.

    Returns the exit code of the last. If the newest line of the ledger is then a decision, it says what else is to be
    done. A submitted run may also not begin at all, because it is better off elsewhere.

    Raises:
        RunBusy: another process has been working on the run for `patience` seconds.
    """
    if is_done(run):
        return 0
    lock = hold(run, max(patience, LEAVING if _is_leaving(run) else 0.0))
    try:
        if is_done(run):  # finished by the one that held the lock until now
            return 0
        if not run.record.exists():
            record.create(run, config, signature(config), code)
        if place.submission and not may_begin(run, config, place):
            return ELSEWHERE
        while exit_code := _attempt(run, config, code, place, lock):
            decision = follow(run, config, place)
            if decision is None or decision.action != "again":
                break
            os.environ[QUEUED] = "0"
        return exit_code
    finally:
        os.close(lock)


def _is_leaving(run: RunDir) -> bool:
    """Whether the last attempt has said its last word: who still holds the lock is on the way out."""
    return ledger.ended(run, ledger.next_attempt(run) - 1)


def is_done(run: RunDir) -> bool:
    """Whether the run is complete, which is then said."""
    result = run.finished()
    if result is not None:
        say(f"Done already, with {_summary(result['metrics'])}. rerun=true trains it again, beside this one.")
    return result is not None


def _attempt(run: RunDir, config: RunConfig, code: Code, place: Place, lock: int) -> int:
    attempt = ledger.next_attempt(run)
    run.launch(attempt).parent.mkdir(exist_ok=True)
    run.logs.mkdir(exist_ok=True)
    run.log(attempt, 0).touch()  # named to people even if the process dies before it opens it
    files.write_json(run.launch(attempt), to_plain(config))
    processes, watch = place.processes(run, attempt), OomWatch()
    with Children(lock) as children:
        _begin(run, attempt, code, place)
        children.start(processes)
        ending = children.wait(watch.look)
    if not ledger.ended(run, attempt):
        close(run, attempt, ending, place.why_stopped(run), out_of_memory=watch.struck())
    elif ending.rank and ending.code != Interrupted.exit_code:
        say(f"Process {ending.rank} failed first. Its log is {run.log(attempt, ending.rank)}.")
    return ending.code if ending.code >= 0 else 1


def _begin(run: RunDir, attempt: int, code: Code, place: Place) -> None:
    """Write the start of an attempt; say so if it is not the code that the run began with."""
    if code != record.read(run)["code"]:
        say("Notice: the code has changed since this run began; run.json and attempts.jsonl name both versions.")
    ledger.append(
        run,
        ledger.Start(
            attempt=attempt,
            launcher=place.launcher,
            job_id=place.job_id,
            nodes=list(place.nodes),
            processes=place.size,
            start_step=run.saved_step,
            code=code,
            submission=place.submission,
        ),
    )


def _summary(metrics: dict[str, float]) -> str:
    return ", ".join(f"{name} {value:.4g}" for name, value in metrics.items()) or "no metrics"
