"""``launcher=shell``: the run's processes are started here, and waited for."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import FrameType

from passingloop.config.build import to_plain
from passingloop.config.settings import RunConfig
from passingloop.errors import MissingError, RunBusy
from passingloop.launch.choose import choose
from passingloop.launch.gpus import visible_gpus
from passingloop.launch.identity import code_identity
from passingloop.plan import gpus_used, processes, signature
from passingloop.rundir import atomic, ledger, record
from passingloop.rundir.layout import RunDir
from passingloop.rundir.lock import hold

PATIENCE = 30.0
"""Seconds that the other processes of a run get to end by themselves after one has failed."""


def run_here(configs: Sequence[RunConfig], print_folder: Callable[[str], None]) -> int:
    """Train each of `configs`, one after another. Runs that are done already are not trained again.

    Returns the exit code: 0 if all are done, 130 if interrupted (the rest is then not started), else 1.
    """
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
        if code == 130:
            break
    return worst


def _train(run: RunDir, config: RunConfig) -> int:
    done = run.finished()
    if done is not None:
        _say(f"Done already, with {_summary(done['metrics'])}. rerun=true trains it again, beside this one.")
        return 0
    lock = hold(run)
    try:
        if not run.record.exists():
            record.create(run, config, signature(config), code_identity())
        return _attempt(run, config, lock)
    finally:
        os.close(lock)


def _attempt(run: RunDir, config: RunConfig, lock: int) -> int:
    attempt = ledger.next_attempt(run)
    environments = _environments(config, attempt)
    run.launch(attempt).parent.mkdir(exist_ok=True)
    run.logs.mkdir(exist_ok=True)
    atomic.write_json(run.launch(attempt), to_plain(config))
    _begin(run, attempt, len(environments))
    with _forwarded_signals() as children:
        children += [_start(run, attempt, environment, lock) for environment in environments]
        code = _wait(children)
    if not ledger.ended(run, attempt):
        _close(run, attempt, code)
    return code if code > 0 else 0 if code == 0 else 1


def _start(run: RunDir, attempt: int, environment: dict[str, str], lock: int) -> subprocess.Popen[bytes]:
    """One process of the run. Rank 0 speaks to the terminal, the others into their logs."""
    rank = int(environment["RANK"])
    with run.log(attempt, rank).open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "passingloop.job", str(run.path)],
            env=os.environ | environment,
            stdout=sys.stderr if rank == 0 else log,
            stderr=None if rank == 0 else log,
            pass_fds=[lock],
        )


def _environments(config: RunConfig, attempt: int) -> list[dict[str, str]]:
    """What tells each process its place among the others, and its share of the CPUs."""
    visible = visible_gpus()
    size, gpus = processes(config, len(visible)), gpus_used(config, len(visible))
    if gpus > len(visible):
        raise MissingError(
            f"You set resources.gpus={gpus}, but {len(visible)} are visible here. Set resources.gpus={len(visible)}, "
            "or take an allocation with more."
        )
    cpus = config.resources.cpus
    threads = max(1, len(os.sched_getaffinity(0)) // size) if cpus == "auto" else cpus
    everyone = {
        "PASSINGLOOP_ATTEMPT": str(attempt),
        "WORLD_SIZE": str(size),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(_free_port()),
        "OMP_NUM_THREADS": str(threads),
        "CUDA_VISIBLE_DEVICES": ",".join(visible[:gpus]),
    }
    return [everyone | {"RANK": str(rank), "LOCAL_RANK": str(rank)} for rank in range(size)]


def _wait(children: list[subprocess.Popen[bytes]]) -> int:
    """Wait for all; the exit code of the first that failed, else 0. A signal's number comes negative."""
    failed: int | None = None
    deadline = float("inf")
    while any(child.poll() is None for child in children):
        time.sleep(0.02)
        if failed is None:
            failed = next((child.returncode for child in children if child.returncode), None)
            deadline = time.monotonic() + PATIENCE if failed is not None else deadline
        elif time.monotonic() > deadline:
            for child in children:
                child.kill()
    return failed or next((child.returncode for child in children if child.returncode), 0)


@contextmanager
def _forwarded_signals() -> Iterator[list[subprocess.Popen[bytes]]]:
    """Pass requests to stop on to the children, and stay to see how they end.

    Ctrl-C in a terminal reaches them directly as well, so the first is forwarded as SIGTERM, which asks for the
    same: only a second SIGINT means "at once" to them.
    """
    children: list[subprocess.Popen[bytes]] = []
    asked = False

    def forward(number: int, _: FrameType | None) -> None:
        nonlocal asked
        for child in children:
            if child.poll() is None:
                child.send_signal(signal.SIGINT if asked and number == signal.SIGINT else signal.SIGTERM)
        asked = True

    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, forward) for number in numbers}
    try:
        yield children
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _begin(run: RunDir, attempt: int, size: int) -> None:
    """Write the start of an attempt; say so if it is not the code that the run began with."""
    code = code_identity()
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


def _close(run: RunDir, attempt: int, code: int) -> None:
    """Write the end of an attempt whose processes ended without doing so."""
    message = f"killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
    _say(f"error: The training process was {message}." if code < 0 else f"error: The training process {message}.")
    _say(f"The log is {run.log(attempt, 0)}; the same command continues from the last checkpoint.")
    rows = [row for row in atomic.read_json_lines(run.metrics) if row["attempt"] == attempt]
    last_step = max((row["step"] for row in rows), default=0)
    ledger.append(run, ledger.End(attempt=attempt, end_step=last_step, cause="crash", message=message))


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _summary(metrics: dict[str, float]) -> str:
    return ", ".join(f"{name} {value:.4g}" for name, value in metrics.items()) or "no metrics"


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
