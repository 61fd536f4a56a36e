"""Whatever Slurm does to a job, at any moment of an attempt: it ends in a decision, and no run is lost or different.

The table of docs/explanation/life-of-a-run.md, "At any moment", cell by cell.
"""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable

import pytest

from passingloop.rundir.directory import RunDir
from tests.cluster.cluster import until
from tests.cluster.login import Login, events, wait_for, wait_for_step
from tests.cluster.test_causes import LONG, Exact, exact, job, known, submit, trainers  # noqa: F401  # fixtures
from tests.runs.small import lines

pytestmark = pytest.mark.slow


def queued(login: Login, run: RunDir) -> None:
    """Held back in the queue."""


def importing(login: Login, run: RunDir) -> None:
    login.cluster.says("scontrol", "release", job(run))
    until(lambda: bool(trainers(run)))
    assert not lines(run.metrics)


def training(login: Login, run: RunDir) -> None:
    login.cluster.says("scontrol", "release", job(run))
    wait_for_step(run, 60)


def between(login: Login, run: RunDir) -> None:
    """After a crash; the next attempt begins at once."""
    training(login, run)
    os.kill(trainers(run)[0], signal.SIGKILL)
    wait_for(run)


def finished(login: Login, run: RunDir) -> None:
    login.cluster.says("scontrol", "release", job(run))
    until(run.result.exists)


def terminate(login: Login, run: RunDir) -> None:
    login.cluster.run("scancel", "--signal=TERM", job(run))


def kill(login: Login, run: RunDir) -> None:
    login.cluster.run("scancel", "--signal=KILL", job(run))


def requeue(login: Login, run: RunDir) -> None:
    login.cluster.run("scontrol", "requeue", job(run))


def kill_supervisor(login: Login, run: RunDir) -> None:
    """The batch script alone."""
    [submission] = {line["submission"] for line in events(run, "queued")}
    login.cluster.run("pkill", "-KILL", "--full", f"attempts.node.*{submission}")


Act = Callable[[Login, RunDir], None]


@pytest.mark.parametrize("event", [terminate, kill, requeue, kill_supervisor], ids=lambda act: act.__name__)
@pytest.mark.parametrize("moment", [queued, importing, training, between, finished], ids=lambda act: act.__name__)
def test_no_run_is_lost_or_different(login: Login, exact: Exact, moment: Act, event: Act) -> None:  # noqa: F811
    name = f"{moment.__name__}-{event.__name__}"
    run = submit(login, name, "+cluster.extra.hold=true")
    moment(login, run)
    event(login, run)
    if moment is queued:
        login.cluster.run("scontrol", "release", job(run))
    until(lambda: state(login, run) not in ("running", "pending"))
    print(
        name,
        state(login, run),
        [
            (line["event"], line.get("cause") or line.get("action"))
            for line in lines(run.attempts)
            if line["event"] in ("end", "decision", "start")
        ],
    )
    if not run.result.exists():
        submit(login, name)
    exact(run)
    assert {start["attempt"] for start in events(run, "start")} == {end["attempt"] for end in events(run, "end")}


def state(login: Login, run: RunDir) -> str:
    [row] = json.loads(login.verb("status", str(run.path), "--json").stdout)
    return str(row["state"])
