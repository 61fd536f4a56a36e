"""Real wandb with the stand-in for its server."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from passingloop.rundir.directory import RunDir
from passingloop.track import wandb_run
from passingloop.track.upload_marks import missing_uploads
from tests.track.conftest import KEY, Tracking
from tests.track.wandb_stand_in import WandbServer

Serve = Callable[..., WandbServer]

pytestmark = pytest.mark.usefixtures("key")


def losses(server: WandbServer) -> list[tuple[int, int, float]]:
    rows = server.history["abc123"]
    return [(row["attempt"], row["trainer/global_step"], row["train/loss"]) for row in rows]


def opened(run: object) -> bool:
    deadline = time.monotonic() + 10
    while not run.address.startswith("http") and time.monotonic() < deadline:  # type: ignore[attr-defined]
        time.sleep(0.05)
    return run.address.startswith("http")  # type: ignore[attr-defined, no-any-return]


@pytest.mark.parametrize("mode", ["auto", "wandb"])
def test_attempts_are_one_run(tracking: Tracking, serve: Serve, mode: str) -> None:
    server = serve()
    for attempt in (1, 2):
        run = tracking.must_open(mode, attempt=attempt)
        run.log(attempt * 10, "train", {"loss": 0.5})
        run.log(attempt * 10 + 5, "train", {"loss": 0.4})
        run.finish("preempted" if attempt == 1 else "completed")
        assert run.address == f"{server.url}/me/p/runs/abc123"
    assert losses(server) == [(1, 10, 0.5), (1, 15, 0.4), (2, 20, 0.5), (2, 25, 0.4)]
    assert server.exit_codes == [1, 0]
    assert tracking.notices == []
    assert missing_uploads(RunDir(tracking.folder)) == []


def test_tags_that_users_add_there_stay(tracking: Tracking, serve: Serve) -> None:
    server = serve()
    tracking.must_open("wandb").finish("preempted")
    assert server.tags["abc123"] == ["t"]
    server.tags["abc123"] = ["theirs"]
    tracking.must_open("wandb", attempt=2).finish("completed")
    assert sorted(server.tags["abc123"]) == ["t", "theirs"]


def test_the_server_learns_nothing_about_the_machine(tracking: Tracking, serve: Serve) -> None:
    server = serve()
    run = tracking.must_open("wandb")
    run.finish("completed")
    assert b"RunResumeStatus" in server.received
    for machine in (sys.prefix, str(Path.cwd()), str(tracking.folder), KEY):
        assert machine.encode() not in server.received
    # As a word: a short name is found inside random ids.
    assert re.search(rb"\b%s\b" % re.escape(socket.gethostname().encode()), server.received) is None
    assert [path for path in tracking.folder.rglob("*") if path.is_file() and KEY.encode() in path.read_bytes()] == []


def test_offline_attempts_are_uploaded_one_after_the_other(tracking: Tracking, serve: Serve) -> None:
    for attempt in (1, 2):
        run = tracking.must_open("offline", attempt=attempt)
        run.log(attempt * 10, "train", {"loss": 0.5})
        run.finish("completed")
        time.sleep(1.1 if attempt == 1 else 0)  # wandb names the folders by the second
    server = serve()
    command = [sys.executable, "-m", "wandb", "sync", *map(str, tracking.folders())]
    subprocess.run(command, check=True, capture_output=True, timeout=60, cwd=tracking.folder)
    assert losses(server) == [(1, 10, 0.5), (2, 20, 0.5)]


def test_a_server_that_refuses_means_offline(tracking: Tracking, serve: Serve) -> None:
    serve(refuse=401)
    run = tracking.must_open("wandb")
    run.finish("completed")
    (notice,) = tracking.notices
    assert "401" in notice
    assert "passingloop sync" in notice
    assert "offline-run" in run.address


def test_a_server_that_goes_away_delays_the_end_by_a_bounded_time(
    tracking: Tracking, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wandb_run, "FINISH_SECONDS", 4.0)
    server = serve()
    run = tracking.must_open("wandb")
    assert opened(run)
    server.stop()
    begun = time.monotonic()
    run.log(1, "train", {"loss": 0.5})
    assert time.monotonic() - begun < 0.5
    run.finish("completed")
    assert 2 <= time.monotonic() - begun < 4
    (notice,) = tracking.notices
    assert notice.startswith("W&B has not taken everything in time. To upload the rest: passingloop sync ")
