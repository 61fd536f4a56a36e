from __future__ import annotations

import functools
import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from passingloop.config.running import TrackingConfig
from passingloop.files import write_json
from passingloop.rundir.directory import RunDir
from passingloop.rundir.record import iso_time
from passingloop.track.wandb_identity import Identity
from passingloop.track.wandb_run import WandbRun, open_wandb
from tests.track.wandb_stand_in import WandbServer

KEY = "0123456789abcdef" * 2 + "feedbeef"


def made_identity(
    run_id: str = "abc123", settings: dict[str, Any] | None = None, tags: tuple[str, ...] = ("t",)
) -> Identity:
    return Identity(
        run_id=run_id,
        name="docs-abc123",
        group="docs",
        job_type="classification",
        tags=tags,
        config=settings or {},
    )


CREATED = 1_795_953_600.0
"""When the runs of these tests were created: 2026-11-29T12:00:00 UTC."""


def made_record(folder: Path) -> None:
    """What the program reads of a run's record while it tracks the run."""
    write_json(RunDir(folder).record, {"schema": 1, "created": iso_time(CREATED)})


class Tracking:
    """Opens runs in a folder and keeps the notices."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.notices: list[str] = []

    def open(self, mode: str, *, attempt: int = 1, run_id: str = "abc123", **settings: Any) -> WandbRun | None:
        return open_wandb(
            TrackingConfig(mode=mode, project="p", entity=None, tags=()),  # type: ignore[arg-type]
            made_identity(run_id, settings),
            folder=self.folder,
            attempt=attempt,
            notice=self.notices.append,
        )

    def must_open(self, mode: str, *, attempt: int = 1, **settings: Any) -> WandbRun:
        run = self.open(mode, attempt=attempt, **settings)
        assert run is not None
        return run

    def folders(self) -> list[Path]:
        """Those of the attempts, oldest first."""
        return sorted(self.folder.glob("wandb/*run-*"), key=lambda path: path.stat().st_mtime_ns)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user without W&B settings, for whom W&B's host is a closed port of this machine."""
    home = tmp_path / "home"
    home.mkdir()
    for name in [name for name in os.environ if name.startswith("WANDB_") or name.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("NETRC", str(home / ".netrc"))
    monkeypatch.setenv("WANDB_BASE_URL", f"http://127.0.0.1:{_closed_port()}")
    return home


@pytest.fixture
def tracking(tmp_path: Path, home: Path) -> Tracking:
    folder = tmp_path / "run folder"
    folder.mkdir()
    made_record(folder)
    return Tracking(folder)


@pytest.fixture
def key(home: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    return KEY


@pytest.fixture
def mute(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """W&B's host takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        monkeypatch.setenv("WANDB_BASE_URL", f"http://127.0.0.1:{server.getsockname()[1]}")
        yield


@pytest.fixture
def serve(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., WandbServer]]:
    """Starts the stand-in for W&B's server."""
    servers = []

    def start(**settings: Any) -> WandbServer:
        server = WandbServer(**settings)
        servers.append(server)
        monkeypatch.setenv("WANDB_BASE_URL", server.url)
        return server

    yield start
    for server in servers:
        server.stop()


@functools.cache
def inspect(folder: Path) -> list[dict[str, Any]]:
    """The records of a finished run, as wandb's own reader sees them."""
    command = [sys.executable, "-m", "wandb", "leet", "inspect", "--json", str(folder)]
    env = os.environ | {"WANDB_ERROR_REPORTING": "false"}
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=True, timeout=60)
    return [json.loads(line) for line in done.stdout.splitlines()]


def records(folder: Path, kind: str) -> list[dict[str, Any]]:
    return [record[kind] for record in inspect(folder) if record["type"] == kind]


def _closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])
