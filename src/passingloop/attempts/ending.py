"""The end of an attempt whose processes ended without writing it: put together from what they left."""

from __future__ import annotations

import os
import signal
from dataclasses import replace

from passingloop.errors import Interrupted
from passingloop.launch.place import QUEUED
from passingloop.launch.processes import Ending
from passingloop.rundir import failure, ledger, pulse
from passingloop.rundir.failure import Failure
from passingloop.rundir.layout import RunDir
from passingloop.rundir.ledger import Cause, End, Seconds
from passingloop.text import say
from passingloop.track.metrics_file import read_metrics

BY_SLURM = ("preempted", "node_fail", "cancelled")
"""Causes that explain why processes fail: the others of the attempt are being ended."""

KILLED = 128
"""srun and shells add it to the number of the signal that killed a process."""

SIG_OOM = (125, KILLED + 125)
"""Slurm's own number for a step that its cgroup's limit has killed."""


def close(run: RunDir, attempt: int, ending: Ending, cause: Cause, *, out_of_memory: bool) -> None:
    """Write the end of an attempt whose processes were ours, and ended as `ending` says.

    Args:
        cause: why they were stopped; `interrupted` also where nobody is known to have stopped them.
        out_of_memory: whether the kernel has killed for want of memory just then.
    """
    end = _from_pulse(run, attempt, cause)
    found = failure.first(run, attempt)
    if found:
        failed = _failed(end, found)
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
    elif cause == "interrupted":
        end = replace(end, cause="crash")
    ledger.append(run, replace(end, message=how))


def close_unseen(run: RunDir, attempt: int, cause: Cause, message: str) -> None:
    """Write the end of an attempt that nobody has seen end: its whole job was gone."""
    end, found = _from_pulse(run, attempt, cause), failure.first(run, attempt)
    seconds = replace(end.seconds, queued=0.0)  # it is not known any more
    end = replace(end, message=message, memory="host" if cause == "oom" else None, seconds=seconds)
    ledger.append(run, _failed(end, found) if found and cause == "crash" else end)


def _from_pulse(run: RunDir, attempt: int, cause: Cause) -> End:
    """As far as the attempt had come by its last words: its pulse, its metrics, its checkpoints."""
    queued = Seconds(queued=float(os.environ.get(QUEUED, "0")))
    told = pulse.read(run, attempt)
    logged = (row["step"] for row in read_metrics(run.metrics) if row["attempt"] == attempt)
    step = max(run.saved_step, told.step if told else 0, *logged)
    return End(attempt=attempt, end_step=step, cause=cause, seconds=told.seconds if told else queued)


def _failed(end: End, found: Failure) -> End:
    return replace(
        end,
        end_step=found.step,
        cause=found.cause,
        message=found.message,
        memory=found.memory,
        tokens=found.tokens,
    )


def _signal(code: int) -> signal.Signals | None:
    """The signal that killed a process which ended with `code`, if one did."""
    number = -code if code < 0 else code - KILLED
    return signal.Signals(number) if number in signal.valid_signals() else None
