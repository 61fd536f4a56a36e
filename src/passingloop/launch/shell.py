"""``launcher=shell``: the run's processes are started here, and waited for."""

from __future__ import annotations

import os
import signal
import socket
import sys
from collections.abc import Callable, Sequence

from passingloop.config.build import to_plain
from passingloop.config.settings import RunConfig
from passingloop.errors import Interrupted, MissingError, RunBusy
from passingloop.launch.children import Children, Ending
from passingloop.launch.choose import choose
from passingloop.launch.gpus import visible_gpus
from passingloop.launch.identity import Code, code_identity
from passingloop.plan import gpus_used, processes, signature
from passingloop.rundir import atomic, ledger, record
from passingloop.rundir.layout import RunDir
from passingloop.rundir.lock import hold

SPIN = "1000"
"""How often an idle OpenMP thread looks for work before it sleeps. With libgomp's default, two trainings that share two
cores took 4.5 times as long as one alone; with this 2 times, and one alone 1.02 times (MiniLM, medians of 30 steps)."""


def run_here(configs: Sequence[RunConfig], print_folder: Callable[[str], None]) -> int:
    """Train each of `configs`, one after another. Runs that are done already are not trained again.

    Returns the exit code: 0 if all are done, 130 if interrupted (the rest is then not started), else 1.

    Raises:
        ConfigError, MissingError: one of `configs` cannot be run here; nothing has been written or started.
    """
    for config in configs:
        _size(config)
    worst = 0
    for number, config in enumerate(configs, start=1):
        run = choose(config)
        if len(configs) > 1:
            _say(f"\n[{number}/{len(configs)}] {run.path}")
        try:
            code = _train(run, config)
        except RunBusy as busy:
            _say(f"error: {busy}")
            code = busy.exit_code
        print_folder(str(run.path))
        worst = max(worst, code)
        if code == Interrupted.exit_code:
            break
    return worst


def _train(run: RunDir, config: RunConfig) -> int:
    if _is_done(run):
        return 0
    lock = hold(run)
    try:
        if _is_done(run):  # finished by the one that held the lock until now
            return 0
        code = code_identity()
        if not run.record.exists():
            record.create(run, config, signature(config), code)
        return _attempt(run, config, code, lock)
    finally:
        os.close(lock)


def _is_done(run: RunDir) -> bool:
    result = run.finished()
    if result is not None:
        _say(f"Done already, with {_summary(result['metrics'])}. rerun=true trains it again, beside this one.")
    return result is not None


def _attempt(run: RunDir, config: RunConfig, code: Code, lock: int) -> int:
    attempt = ledger.next_attempt(run)
    environments = _environments(config, attempt)
    run.launch(attempt).parent.mkdir(exist_ok=True)
    run.logs.mkdir(exist_ok=True)
    atomic.write_json(run.launch(attempt), to_plain(config))
    with Children(lock) as children:
        _begin(run, attempt, code, len(environments))
        children.start(
            [sys.executable, "-m", "passingloop.job", str(run.path)],
            [os.environ | environment for environment in environments],
            [run.log(attempt, rank) for rank in range(len(environments))],
        )
        ending = children.wait()
    if not ledger.ended(run, attempt):
        _close(run, attempt, ending)
    elif ending.rank and ending.code != Interrupted.exit_code:
        _say(f"Process {ending.rank} failed first. Its log is {run.log(attempt, ending.rank)}.")
    return ending.code if ending.code >= 0 else 1


def _environments(config: RunConfig, attempt: int) -> list[dict[str, str]]:
    """What tells each process its place among the others, and its share of the CPUs."""
    size, gpus = _size(config)
    cpus = config.resources.cpus
    threads = max(1, len(os.sched_getaffinity(0)) // size) if cpus == "auto" else cpus
    everyone = {
        "PASSINGLOOP_ATTEMPT": str(attempt),
        "WORLD_SIZE": str(size),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(_free_port()),
        "OMP_NUM_THREADS": str(threads),
        "GOMP_SPINCOUNT": os.environ.get("GOMP_SPINCOUNT", SPIN),
        "CUDA_VISIBLE_DEVICES": ",".join(gpus),
    }
    return [everyone | {"RANK": str(rank), "LOCAL_RANK": str(rank)} for rank in range(size)]


def _size(config: RunConfig) -> tuple[int, list[str]]:
    """How many processes there will be, and the GPUs they use."""
    visible = visible_gpus()
    gpus = gpus_used(config, len(visible))
    if gpus > len(visible):
        raise MissingError(
            f"You set resources.gpus={gpus}, but {len(visible)} are visible here. Set resources.gpus={len(visible)}, "
            "or take an allocation with more."
        )
    return processes(config, len(visible)), visible[:gpus]


def _begin(run: RunDir, attempt: int, code: Code, size: int) -> None:
    """Write the start of an attempt; say so if it is not the code that the run began with."""
    if code != atomic.read_json(run.record)["code"]:
        _say("Notice: the code has changed since this run began; run.json and attempts.jsonl name both versions.")
    ledger.append(
        run,
        ledger.Start(
            attempt=attempt,
            launcher="shell",
            job_id=os.environ.get("SLURM_JOB_ID"),
            nodes=[socket.gethostname()],
            processes=size,
            start_step=run.saved_step,
            code=code,
        ),
    )


def _close(run: RunDir, attempt: int, ending: Ending) -> None:
    """Write the end of an attempt whose processes ended without doing so."""
    rows = [row for row in atomic.read_json_lines(run.metrics) if row["attempt"] == attempt]
    last_step = max((row["step"] for row in rows), default=run.saved_step)
    if ending.code == Interrupted.exit_code:
        ledger.append(run, ledger.End(attempt=attempt, end_step=last_step, cause="interrupted"))
        return
    how = f"killed by {signal.Signals(-ending.code).name}" if ending.code < 0 else f"ended with exit code {ending.code}"
    _say(f"error: The training process {'was ' if ending.code < 0 else ''}{how}.")
    _say(f"The log is {run.log(attempt, ending.rank)}; the same command continues from the last checkpoint.")
    ledger.append(run, ledger.End(attempt=attempt, end_step=last_step, cause="crash", message=how))


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _summary(metrics: dict[str, float]) -> str:
    return ", ".join(f"{name} {value:.4g}" for name, value in metrics.items()) or "no metrics"


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
