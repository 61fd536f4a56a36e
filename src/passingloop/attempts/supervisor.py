"""Attempts at a run: it is locked, their processes are started and waited for, and the ledger is written."""

from __future__ import annotations

import os
import secrets
from collections.abc import Sequence
from contextlib import suppress

from passingloop import files
from passingloop.attempts.announcement import announce_end
from passingloop.attempts.continuation import decide_continuation, is_start_allowed
from passingloop.attempts.ending import write_end, write_hung_end, write_unstarted_end
from passingloop.attempts.gpu_guard import GpuGuard
from passingloop.attempts.hang_watch import HangWatch
from passingloop.attempts.oom import OomWatch
from passingloop.attempts.start_watch import StartWatch
from passingloop.config.build import to_plain
from passingloop.config.settings import RunConfig
from passingloop.errors import ELSEWHERE, Interrupted, MissingError, PassingloopError, RunBusy, TimeLimitReached
from passingloop.launch.place import Place
from passingloop.launch.processes import Children, Process
from passingloop.preempt.cause import PATIENCE, stop_cause
from passingloop.preempt.signals import MESSAGE
from passingloop.rundir import ledger, record
from passingloop.rundir.code import Code
from passingloop.rundir.directory import RunDir
from passingloop.rundir.events import Cause, Start, Wait
from passingloop.rundir.fence import Fence
from passingloop.rundir.lock import acquire_lock, lock_holder
from passingloop.slurm import control
from passingloop.slurm.command import restart_count
from passingloop.text import say
from passingloop.vitals.standstill import Standstill

LEAVING = 10.0
"""Seconds to wait for the lock of an attempt that has ended: its processes or their Slurm step are exiting."""


def carry_out(
    run: RunDir, config: RunConfig, code: Code, place: Place, patience: float = 0.0, queued: float = 0.0
) -> int:
    """Make attempts at `run`, unless it is done, as long as each is to be followed by another here.

    Returns the exit code of the last. If the newest line of the ledger is then a decision, it says what else is to be
    done. A submitted run may also not start here, because it is to continue in another job, or not at all: then the
    code is `ELSEWHERE`.

    Args:
        queued: seconds that the first of the attempts has waited in the queue.

    Raises:
        RunBusy: another process has been working on the run for `patience` seconds.
        Superseded: a newer attempt has started elsewhere meanwhile.
    """
    if is_done(run):
        return 0
    lock = _acquire_lock(run, place, max(patience, LEAVING if _is_leaving(run) else 0.0))
    try:
        if is_done(run):  # finished by the one that held the lock until now
            return 0
        if not run.record.exists():
            record.create(run, config, code)
        if place.submission and not is_start_allowed(run, config, place):
            return ELSEWHERE
        while True:
            exit_code = _attempt(run, config, code, place, lock, queued)
            decision = decide_continuation(run, config, place) if exit_code else None
            announce_end(run, config)
            if decision is None or decision.action != "again":
                return exit_code
            queued = 0.0
    except TimeLimitReached as error:
        say(f"error: {error}")
        decide_continuation(run, config, place, started=False)
        announce_end(run, config)
        return error.exit_code
    except MissingError:  # no process could be started
        announce_end(run, config)
        raise
    finally:
        os.close(lock)


def _acquire_lock(run: RunDir, place: Place, patience: float) -> int:
    """Lock the run. A job that has to wait for the lock says so, and writes it into the ledger."""
    try:
        return acquire_lock(run)
    except RunBusy:
        if not patience:
            raise
    if not place.submission:
        return acquire_lock(run, patience)
    attempt = ledger.read(run).next_attempt
    reason = f"The run is locked by {lock_holder(run) or 'another process'}, and is waited for {patience:.0f} s."
    say(reason)
    ledger.append(run, Wait(attempt=attempt, reason=reason))
    try:
        return acquire_lock(run, patience)
    finally:
        ledger.append(run, Wait(attempt=attempt, reason=None))


def _is_leaving(run: RunDir) -> bool:
    """Whether the newest attempt has its end in the ledger: a process that still holds the lock is about to exit."""
    past = ledger.read(run)
    return past.end(past.next_attempt - 1) is not None


def is_done(run: RunDir) -> bool:
    """Whether the run is complete, which is then said."""
    result = run.read_result()
    if result is not None:
        say(f"Done already, with {_summary(result['metrics'])}. rerun=true trains it again, beside this one.")
    return result is not None


def _attempt(run: RunDir, config: RunConfig, code: Code, place: Place, lock: int, queued: float) -> int:
    attempt, token = ledger.read(run).next_attempt, secrets.token_hex(8)
    _prepare_files(run, attempt, config)
    with Children(lock) as children:
        _begin(run, attempt, token, code, place)
        try:
            processes = place.processes(run, attempt, queued, token)
            memory, start = OomWatch(), StartWatch(run, attempt, place.job_id if place.submission else None)
            _start(children, processes, place)
        except (TimeLimitReached, MissingError) as error:
            cause: Cause = "timeout" if isinstance(error, TimeLimitReached) else "crash"
            write_unstarted_end(run, attempt, cause, str(error), queued)
            raise

        def end_hung(standstill: Standstill) -> None:
            Fence(run, attempt, token).check()
            write_hung_end(run, attempt, standstill, stop_cause(run, restart_count(os.environ)), queued)
            children.kill()

        hang = HangWatch(run, attempt, place.size, config.watch.stuck_minutes, end_hung)
        guard = GpuGuard(run, attempt, config, place, lambda: _request_stop(children, run, place), children.kill)
        ending = children.wait(memory.sample, start.sample, hang.sample, guard.sample)
    hang.close()
    Fence(run, attempt, token).check()
    is_unreported = ledger.read(run).end(attempt) is None
    if is_unreported:
        cause = stop_cause(run, restart_count(os.environ), PATIENCE if place.submission else 0.0)
        killed, said = memory.has_killed(), start.srun_message()
        write_end(run, attempt, ending, cause, out_of_memory=killed, queued=queued, said=said)
        if processes[0].hint and not start.has_output() and ending.code != Interrupted.exit_code:
            say(processes[0].hint)
    elif ending.rank and not hang.standstill and ending.code != Interrupted.exit_code:
        say(f"Process {ending.rank} failed first. Its log is {run.log(attempt, ending.rank)}.")
    if hang.standstill and run.result.exists():  # only its processes did not end
        return 0
    # srun 22.05 ends with 0 where it could start nothing.
    return ending.code if ending.code > 0 else int(is_unreported or ending.code < 0)


def _prepare_files(run: RunDir, attempt: int, config: RunConfig) -> None:
    run.launch(attempt).parent.mkdir(exist_ok=True)
    run.logs.mkdir(exist_ok=True)
    run.log(attempt, 0).touch()  # named to people even if the process dies before it opens it
    files.write_json(run.launch(attempt), to_plain(config))


def _request_stop(children: Children, run: RunDir, place: Place) -> None:
    """Ask the processes of an attempt to save and stop. In a batch job it is Slurm that signals them."""
    if place.submission and place.job_id:
        with suppress(PassingloopError):  # they are killed later
            control.signal_steps(place.job_id, "TERM", run.path.name)
    else:
        children.request_stop()


def _start(children: Children, processes: Sequence[Process], place: Place) -> None:
    """Start the processes, unless we were asked to stop before.

    Raises:
        MissingError: there is no srun, for one.
    """
    try:
        if not children.start(processes):
            say(f"error: {MESSAGE}")  # as a training process says when it is asked to stop
    except OSError as error:
        raise MissingError(
            f"{processes[0].command[0]} cannot be run on {place.nodes[0]}: {error.strerror}. Put it on the PATH of the "
            "job."
        ) from error


def _begin(run: RunDir, attempt: int, token: str, code: Code, place: Place) -> None:
    """Write the start of an attempt; say so if it is not the code that the run began with.

    Raises:
        Superseded: another launcher has started an attempt with this number, as the file system has lost its locks.
    """
    if code != record.read(run)["code"]:
        say("Notice: the code has changed since this run began; run.json and attempts.jsonl name both versions.")
    ledger.append(
        run,
        Start(
            attempt=attempt,
            launcher=place.launcher,
            job_id=place.job_id,
            nodes=list(place.nodes),
            processes=place.size,
            start_step=run.saved_step,
            code=code,
            submission=place.submission,
            token=token,
            gpus=place.gpus_per_node,
        ),
    )
    Fence(run, attempt, token).check()


def _summary(metrics: dict[str, float]) -> str:
    return ", ".join(f"{name} {value:.4g}" for name, value in metrics.items()) or "no metrics"
