"""One attempt at a run: locked, written into the ledger, its processes started and waited for."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from passingloop.config.build import to_plain
from passingloop.config.settings import RunConfig
from passingloop.errors import Interrupted
from passingloop.launch.children import Children, Ending, Process
from passingloop.launch.identity import Code
from passingloop.launch.words import say
from passingloop.plan import signature
from passingloop.rundir import atomic, ledger, record
from passingloop.rundir.layout import RunDir
from passingloop.rundir.ledger import Cause
from passingloop.rundir.lock import hold

SPIN = "1000"
"""How often an idle OpenMP thread looks for work before it sleeps. With libgomp's default, two trainings that share two
cores took 4.5 times as long as one alone; with this 2 times, and one alone 1.02 times (MiniLM, medians of 30 steps)."""


LEAVING = 10.0
"""Seconds to wait for the lock of an attempt that has ended: its processes take leave of each other, or of Slurm."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """Where an attempt's processes run."""

    launcher: str
    """`shell` or `slurm`."""
    job_id: str | None
    nodes: Sequence[str]
    size: int
    """How many processes train."""
    processes: Callable[[RunDir, int], Sequence[Process]]
    """What is started here for an attempt, whose number is given."""
    why_stopped: Callable[[RunDir], Cause]
    """Why the processes have ended without saying so."""
    submission: str | None = None


def carry_out(run: RunDir, config: RunConfig, code: Code, place: Place, patience: float = 0.0) -> int:
    """Make an attempt at `run`, unless it is done. Returns the exit code.

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
        return _attempt(run, config, code, place, lock)
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
    atomic.write_json(run.launch(attempt), to_plain(config))
    processes = place.processes(run, attempt)
    with Children(lock) as children:
        _begin(run, attempt, code, place)
        children.start(processes)
        ending = children.wait()
    if not ledger.ended(run, attempt):
        _close(run, attempt, ending, place)
    elif ending.rank and ending.code != Interrupted.exit_code:
        say(f"Process {ending.rank} failed first. Its log is {run.log(attempt, ending.rank)}.")
    return ending.code if ending.code >= 0 else 1


def shared_environment(config: RunConfig, attempt: int, address: str, threads: int) -> dict[str, str]:
    """What tells every process of an attempt where to meet the others, and its share of the CPUs."""
    # torch would put it into the machine's folder for temporary files. It holds code, so it is each user's own.
    compiled = config.cache_root / f"torchinductor-{os.getuid()}"
    return {
        "TORCHINDUCTOR_CACHE_DIR": os.environ.get("TORCHINDUCTOR_CACHE_DIR", str(compiled)),
        "PASSINGLOOP_ATTEMPT": str(attempt),
        "MASTER_ADDR": address,
        "MASTER_PORT": str(_free_port()),
        "OMP_NUM_THREADS": str(threads),
        "GOMP_SPINCOUNT": os.environ.get("GOMP_SPINCOUNT", SPIN),
    }


def _begin(run: RunDir, attempt: int, code: Code, place: Place) -> None:
    """Write the start of an attempt; say so if it is not the code that the run began with."""
    if code != atomic.read_json(run.record)["code"]:
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


def _close(run: RunDir, attempt: int, ending: Ending, place: Place) -> None:
    """Write the end of an attempt whose processes ended without doing so."""
    rows = [row for row in atomic.read_json_lines(run.metrics) if row["attempt"] == attempt]
    last_step = max((row["step"] for row in rows), default=run.saved_step)
    cause = place.why_stopped(run)
    if ending.code == Interrupted.exit_code:
        ledger.append(run, ledger.End(attempt=attempt, end_step=last_step, cause=cause))
        return
    how = f"killed by {signal.Signals(-ending.code).name}" if ending.code < 0 else f"ended with exit code {ending.code}"
    say(f"error: The training process {'was ' if ending.code < 0 else ''}{how}.")
    say(f"The log is {run.log(attempt, ending.rank)}; the same command continues from the last checkpoint.")
    died: Cause = "crash" if cause == "interrupted" else cause
    ledger.append(run, ledger.End(attempt=attempt, end_step=last_step, cause=died, message=how))


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _summary(metrics: dict[str, float]) -> str:
    return ", ".join(f"{name} {value:.4g}" for name, value in metrics.items()) or "no metrics"
