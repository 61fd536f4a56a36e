"""The end of an attempt, where its own processes have not written it: from what they left and from what Slurm says."""

from __future__ import annotations

import signal
from collections.abc import Sequence
from dataclasses import dataclass, replace

from passingloop.errors import Interrupted
from passingloop.launch.processes import SIGNALLED, Ending
from passingloop.preempt.cause import CAUSE_OF_END
from passingloop.rundir import failure, ledger
from passingloop.rundir.directory import RunDir
from passingloop.rundir.events import Cause, End, Seconds, Start
from passingloop.rundir.failure import Failure
from passingloop.slurm import accounting, control
from passingloop.slurm.accounting import RunPeriod
from passingloop.slurm.states import RUNNING, job_end
from passingloop.text import say
from passingloop.track.metrics_file import read_metrics
from passingloop.vitals import pulse
from passingloop.vitals.standstill import Standstill

BY_SLURM = ("preempted", "requeued", "node_fail", "cancelled")
"""Causes that explain why processes fail: the others of the attempt are being ended."""

SIG_OOM = (125, SIGNALLED + 125)
"""Slurm's own number for a step that its cgroup's limit has killed."""

SLACK = 2.0
"""Seconds. Slurm's times are whole seconds, and another machine's."""


@dataclass(frozen=True, slots=True)
class Loss:
    """Why an attempt ended of which no process has seen the end."""

    cause: Cause
    message: str
    failed: Sequence[str] = ()
    """Its nodes that have failed."""


def write_end(
    run: RunDir,
    attempt: int,
    ending: Ending,
    cause: Cause,
    *,
    out_of_memory: bool,
    queued: float,
    said: str | None = None,
) -> None:
    """Write the end of an attempt whose processes were ours, and ended as `ending` says.

    Args:
        cause: why they were stopped; `interrupted` also where nobody is known to have stopped them.
        out_of_memory: whether the kernel has killed a process at that moment because memory ran out.
        queued: seconds that the attempt has waited in the queue.
        said: srun's last message, if none of the processes has written anything.
    """
    end = _end_from_pulse(run, attempt, cause, queued)
    reported = failure.read_first(run, attempt)
    if reported:
        failed = _failed(end, reported)
        ledger.append(run, replace(failed, cause=cause, memory=None) if cause in BY_SLURM else failed)
        return
    if ending.code == Interrupted.exit_code:
        ledger.append(run, end)
        return
    number = _signal(ending.code)
    how = f"killed by {number.name}" if number else f"ended with exit code {ending.code}"
    say(f"error: The training process {'was ' if number else ''}{how}.")
    say(f"The log is {run.log(attempt, ending.rank)}; the same command continues from the last checkpoint.")
    if cause == "oom" or (out_of_memory and (number == signal.SIGKILL or ending.code in SIG_OOM)):
        how = f"{how}, as the machine's memory or the job's share of it ran out"
        end = replace(end, cause="oom", memory="host")
    elif cause == "interrupted" or (cause == "timeout" and number not in (signal.SIGTERM, signal.SIGKILL)):
        end = replace(end, cause="crash")  # near a time limit, too, a process may fail by itself
    ledger.append(run, replace(end, message=f"{how}; srun: {said}" if said else how))


def write_hung_end(run: RunDir, attempt: int, standstill: Standstill, cause: Cause, queued: float) -> None:
    """Write the end of an attempt that is hung, before its processes are killed: whatever they write then comes later,
    and does not count.

    Args:
        cause: why they were stopped, if somebody has stopped them meanwhile.
    """
    if ledger.read(run).end(attempt) is not None:  # it ended, and its processes did not
        return
    end = _end_from_pulse(run, attempt, cause if cause in BY_SLURM else "hung", queued)
    stacks = f"The stacks are in {run.logs}/attempt-{attempt:04d}-rank-*.txt."
    ledger.append(run, replace(end, message=f"{standstill.sentence} {stacks}", rank=standstill.rank))
    say(f"{stacks} The same command continues from the last checkpoint.")


def write_unstarted_end(run: RunDir, attempt: int, cause: Cause, message: str, queued: float) -> None:
    """Write the end of an attempt of which no process could be started."""
    seconds = Seconds(queued=queued)
    end = End(attempt=attempt, end_step=run.saved_step, cause=cause, message=message, seconds=seconds)
    ledger.append(run, end)


def write_missing_end(run: RunDir, job_id: str | None) -> Loss | None:
    """Write the end of the newest attempt, if it has none: Slurm has ended its whole job, and maybe started it again.

    Its processes are gone, as we hold the run's lock.

    Args:
        job_id: the job that we are in; if it was the attempt's too, then Slurm has requeued it.
    """
    past = ledger.read(run)
    start = next(reversed(past.events_of(Start)), None)
    if start is None or past.end(start.attempt):
        return None
    loss = _loss(start, requeued=start.job_id == job_id)
    _write_loss(run, start.attempt, loss.cause, loss.message)
    return loss


def _loss(start: Start, *, requeued: bool) -> Loss:
    period = _run_period(start)
    failed = control.failed_nodes(start.nodes, start.timestamp) if start.submission else []
    cause = _cause(period) if period else _without_accounting(failed, requeued=requeued)
    said = f"Slurm says {period.state}." if period else ""
    named = failed or (start.nodes if len(start.nodes) == 1 else [])
    return Loss(cause, f"It ended without giving a cause. {said}".rstrip(), named if cause == "node_fail" else ())


def _run_period(start: Start) -> RunPeriod | None:
    """The time that its job was running when the attempt began, if accounting knows."""
    if not start.submission or not start.job_id:
        return None
    periods = [period for period in accounting.run_periods(start.job_id) if period.started <= start.timestamp + SLACK]
    return periods[-1] if periods and periods[-1].state != RUNNING else None


def _cause(period: RunPeriod) -> Cause:
    """By the state in which accounting has its end; where that names nothing else, the attempt ended by itself."""
    end = job_end(period.state)
    return CAUSE_OF_END[end] if end else "crash"


def _without_accounting(failed: Sequence[str] | None, *, requeued: bool) -> Cause:
    """By whether the job was put back into the queue, and whether its nodes are well (None: nobody knows)."""
    if not requeued:
        return "crash"
    return "preempted" if failed == [] else "node_fail"


def _write_loss(run: RunDir, attempt: int, cause: Cause, message: str) -> None:
    end, reported = _end_from_pulse(run, attempt, cause, queued=0.0), failure.read_first(run, attempt)
    seconds = replace(end.seconds, queued=0.0)  # it is not known any more
    end = replace(end, message=message, memory="host" if cause == "oom" else None, seconds=seconds)
    ledger.append(run, _failed(end, reported) if reported and cause == "crash" else end)


def _end_from_pulse(run: RunDir, attempt: int, cause: Cause, queued: float) -> End:
    """As far as the attempt had come by its pulse, its metrics and its checkpoints."""
    beat = pulse.read(run, attempt)
    logged = (row["step"] for row in read_metrics(run.metrics) if row["attempt"] == attempt)
    step = max(run.saved_step, beat.step if beat else 0, *logged)
    return End(attempt=attempt, end_step=step, cause=cause, seconds=beat.seconds if beat else Seconds(queued=queued))


def _failed(end: End, failure: Failure) -> End:
    return replace(
        end,
        end_step=failure.step,
        cause=failure.cause,
        message=failure.message,
        memory=failure.memory,
        tokens=failure.tokens,
    )


def _signal(code: int) -> signal.Signals | None:
    """The signal that killed a process which ended with `code`, if one did."""
    number = -code if code < 0 else code - SIGNALLED
    return signal.Signals(number) if number in signal.valid_signals() else None
