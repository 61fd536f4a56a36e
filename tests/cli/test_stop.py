"""``passingloop wait`` and ``cancel``, and the lock by which they know who trains."""

from __future__ import annotations

import json
import os
import signal
import threading

import pytest

from passingloop.cli import cancel
from passingloop.errors import RunBusy
from passingloop.rundir import ledger, lock
from tests.cli.conftest import Hold, Verb
from tests.cli.made import Runs, table


def test_a_run_here_is_told_to_stop(verb: Verb, runs: Runs, hold: Hold) -> None:
    run, done = runs.start(runs.new("name=a")), runs.completed("name=b")
    process = hold(run)
    assert table(verb("status", "a"))[f"a/{run.path.name}"][0] == "running"
    cancelled = verb("cancel", "a", "b")
    assert (cancelled.code, cancelled.stdout) == (0, f"{run.path}\n")
    assert f"Told process {process.pid}" in cancelled.stderr
    process.wait(60)
    assert [event.event for event in ledger.read(run).events] == ["start", "cancel", "end"]
    assert len(ledger.read(done).events) == 2, "what is done is left alone"
    waited = verb("wait", "a", "b", "--json")
    assert waited.code == 1
    assert [row["state"] for row in json.loads(waited.stdout)] == ["cancelled", "completed"]
    assert f"a/{run.path.name} is cancelled" in waited.stderr
    assert verb("wait", "b").code == 0
    assert "nothing to cancel" in verb("cancel").stderr


def test_who_trains_is_known_by_the_lock(runs: Runs, hold: Hold) -> None:
    run = runs.new("name=a")
    assert not lock.is_locked(run), "there is no lock yet"
    os.close(lock.acquire_lock(run))
    assert not lock.is_locked(run)
    process = hold(run)
    assert lock.is_locked(run)
    assert lock.local_processes(run) == [process.pid], "not the one that it has started"
    with pytest.raises(RunBusy, match=f"process {process.pid} on"):
        lock.acquire_lock(run)
    process.kill()
    process.wait()
    [left] = lock.local_processes(run)
    assert left != process.pid, "what was started by a process that is gone is found as well"


def test_a_run_out_of_reach_goes_on(verb: Verb, runs: Runs, hold: Hold, monkeypatch: pytest.MonkeyPatch) -> None:
    """There is one machine here: that the process is on another is made up."""
    run = runs.start(runs.new("name=a"))
    process = hold(run)
    monkeypatch.setattr(cancel, "local_processes", lambda _: [])
    done = verb("cancel", "a")
    assert (done.code, done.stdout) == (1, "")
    assert f"process {process.pid} on " in done.stderr
    assert len(ledger.read(run).events) == 1, "it is not marked"


def test_a_lock_that_is_let_go_of_is_waited_for(runs: Runs, hold: Hold) -> None:
    run = runs.new("name=a")
    process = hold(run)
    timer = threading.Timer(0.3, os.killpg, (process.pid, signal.SIGKILL))
    timer.start()
    os.close(lock.acquire_lock(run, patience=60))
    timer.join()
