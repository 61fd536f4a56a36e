"""Whatever Slurm does to a job, at any moment of an attempt: it ends in a decision, and no run is lost or different.

The table of docs/explanation/life-of-a-run.md, "At any moment", cell by cell. A process is stopped while its moment
lasts, so that the event always comes then.
"""

from __future__ import annotations

import datetime
import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from pathlib import Path

import pytest

from passingloop.rundir.directory import RunDir
from tests.cluster.cluster import until
from tests.cluster.login import Login, events, wait_for_step
from tests.cluster.test_causes import Exact, exact, job, known, node_gone, submit, told, trainers  # noqa: F401
from tests.runs.small import lines

pytestmark = pytest.mark.slow

EVALUATED = "trainer.eval_every=1"
"""Of no influence on the weights: a validation after each step, of which most of the time then consists."""

Context = Callable[[Login, RunDir], AbstractContextManager[None]]


@contextmanager
def stopped(*pids: int) -> Iterator[None]:
    """While these processes are stopped, by SIGSTOP; those that are still there go on afterwards."""
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)


def release(login: Login, run: RunDir) -> None:
    login.cluster.says("scontrol", "release", job(run))


@contextmanager
def queued(login: Login, run: RunDir) -> Iterator[None]:
    """Held back in the queue."""
    yield
    login.cluster.run("scontrol", "release", job(run))


@contextmanager
def importing(login: Login, run: RunDir) -> Iterator[None]:
    release(login, run)
    until(lambda: bool(trainers(run)))
    with stopped(*trainers(run)):
        assert not lines(run.metrics)
        yield


@contextmanager
def training(login: Login, run: RunDir) -> Iterator[None]:
    release(login, run)
    wait_for_step(run, 60)
    yield


@contextmanager
def validation(login: Login, run: RunDir) -> Iterator[None]:
    release(login, run)
    wait_for_step(run, 20)
    while True:
        with stopped(*trainers(run)):
            if lines(run.metrics)[-1]["split"] == "train":  # the validation of that step is not over
                yield
                return
        time.sleep(0.003)


@contextmanager
def export(login: Login, run: RunDir) -> Iterator[None]:
    """What a killed attempt has left of its export is removed first, of which there is a lot, so that it lasts."""
    release(login, run)
    wait_for_step(run, 60)
    unfinished = run.export.with_name(".export.attempt-0")
    unfinished.mkdir()
    for number in range(4000):
        (unfinished / str(number)).touch()
    pids, before = trainers(run), unfinished.stat().st_mtime_ns
    until(lambda: unfinished.stat().st_mtime_ns != before, 0.01)
    with stopped(*pids):
        assert not run.export.exists()
        yield


@contextmanager
def between(login: Login, run: RunDir) -> Iterator[None]:
    """After a crash, before the next attempt: no step runs."""
    release(login, run)
    wait_for_step(run, 60)
    with stopped(supervisor(login, run)):
        os.kill(trainers(run)[0], signal.SIGKILL)
        until(lambda: not has_step(login, run))
        yield


def has_step(login: Login, run: RunDir) -> bool:
    """Whether a step of the job runs, besides the batch script."""
    said = login.cluster.says("squeue", "--noheader", "--steps", f"--jobs={job(run)}", "--format=%i")
    return any(step.rpartition(".")[2].isdigit() for step in said.split())


@contextmanager
def finished(login: Login, run: RunDir) -> Iterator[None]:
    release(login, run)
    until(run.result.exists)
    yield


def supervisor(login: Login, run: RunDir) -> int:
    """The batch script, which starts and watches the processes that train."""
    [submission] = {line["submission"] for line in events(run, "queued")}
    found = subprocess.run(
        ["pgrep", "--full", f"attempts.node.*{submission}"], capture_output=True, text=True, check=True
    )
    return int(found.stdout)


@contextmanager
def warning(login: Login, run: RunDir) -> Iterator[None]:
    """Its time limit is near, and Slurm warns the steps. The next time the job gets more."""
    pids = trainers(run)
    end = datetime.datetime.now() + datetime.timedelta(seconds=100 if pids else 55)
    login.cluster.says("scontrol", "update", f"JobId={job(run)}", f"EndTime={end:%Y-%m-%dT%H:%M:%S}")
    if pids:
        until(lambda: run.result.exists() or bool(events(run, "end")) or has_pending_term(pids[0]))
    else:
        time.sleep(43)  # slurmctld looks at the limits twice a minute; nothing shows that nobody heard it
    yield
    until(lambda: run.result.exists() or login.cluster.state(job(run)) in ("PENDING", "FAILED", "TIMEOUT"))
    login.cluster.run("scontrol", "update", f"JobId={job(run)}", "TimeLimit=30")


def has_pending_term(pid: int) -> bool:
    """Whether SIGTERM has been sent to a process that is stopped."""
    with suppress(FileNotFoundError):
        status = Path(f"/proc/{pid}/status").read_text()
        [pending] = re.findall(r"ShdPnd:\t(\w+)", status)
        return bool(int(pending, 16) & 1 << signal.SIGTERM - 1)
    return True


@contextmanager
def terminate(login: Login, run: RunDir) -> Iterator[None]:
    login.cluster.run("scancel", "--signal=TERM", job(run))
    yield


@contextmanager
def kill(login: Login, run: RunDir) -> Iterator[None]:
    login.cluster.run("scancel", "--signal=KILL", job(run))
    yield


@contextmanager
def requeue(login: Login, run: RunDir) -> Iterator[None]:
    login.cluster.run("scontrol", "requeue", job(run))
    yield


@contextmanager
def cancel(login: Login, run: RunDir) -> Iterator[None]:
    done = login.verb("cancel", str(run.path))
    assert done.returncode == 0, done.stderr
    yield


@contextmanager
def kill_supervisor(login: Login, run: RunDir) -> Iterator[None]:
    """The batch script alone."""
    with suppress(subprocess.CalledProcessError):  # it has ended
        os.kill(supervisor(login, run), signal.SIGKILL)
    yield


@contextmanager
def node_failure(login: Login, run: RunDir) -> Iterator[None]:
    [node] = events(run, "start")[-1]["nodes"]
    with node_gone(login, node, run):
        yield
        until(run.result.exists)


MOMENTS: tuple[Context, ...] = (queued, importing, training, validation, export, between, finished)
EVENTS: tuple[Context, ...] = (warning, terminate, kill, requeue, cancel, kill_supervisor, node_failure)
NOTHING_THERE = (
    (queued, warning),
    (queued, kill_supervisor),
    (queued, node_failure),
    (finished, warning),
    (finished, node_failure),
)
"""What cannot come then: no time limit runs, or no process does."""

CELLS = [(moment, event) for moment in MOMENTS for event in EVENTS if (moment, event) not in NOTHING_THERE]


@pytest.mark.timeout(400)
@pytest.mark.parametrize(
    ("moment", "event"), CELLS, ids=[f"{moment.__name__}-{event.__name__}" for moment, event in CELLS]
)
def test_no_run_is_lost_or_different(login: Login, exact: Exact, moment: Context, event: Context) -> None:  # noqa: F811
    name = f"{moment.__name__}-{event.__name__}"
    words = (EVALUATED,) if moment is validation else ()
    run = submit(login, name, "+cluster.extra.hold=true", *words)
    with ExitStack() as after, moment(login, run):
        after.enter_context(event(login, run))
    until(lambda: state(login, run) not in ("running", "pending"))
    print(name, state(login, run), told(run))
    if not run.result.exists():
        submit(login, name, *words)
    exact(run)
    assert {start["attempt"] for start in events(run, "start")} == {end["attempt"] for end in events(run, "end")}


def state(login: Login, run: RunDir) -> str:
    [row] = json.loads(login.verb("status", str(run.path), "--json").stdout)
    return str(row["state"])
