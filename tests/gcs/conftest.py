"""Fixtures of Google Cloud Storage: the emulator, a bad line to it, and the source of a configuration.

| fixture | is |
|---|---|
| `emulator` | the emulator of the session; `STORAGE_EMULATOR_HOST` names it during the test |
| `bad_line` | the same behind a line that can be made to fail, soon given up |
| `gcs` | `gcs(train="gs://b/a.csv")`: the source, as the command line would configure it |
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from passingloop.config.build import build
from passingloop.config.data import GcsData
from passingloop.config.settings import Task
from passingloop.data import gcs_client, gcs_objects
from passingloop.data.gcs import Gcs
from tests.data.conftest import DEFAULTS
from tests.gcs import servers
from tests.runs.conftest import small, tiny, train_here

__all__ = ["small", "tiny", "train_here"]

Sources = Callable[..., Gcs]


@pytest.fixture(scope="session")
def running_emulator() -> Iterator[servers.Emulator]:
    with servers.emulator() as running:
        yield running


@pytest.fixture
def emulator(running_emulator: servers.Emulator, monkeypatch: pytest.MonkeyPatch) -> servers.Emulator:
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", running_emulator.url)
    running_emulator.requests.clear()
    return running_emulator


@pytest.fixture
def bad_line(emulator: servers.Emulator, monkeypatch: pytest.MonkeyPatch) -> Iterator[servers.BadLine]:
    monkeypatch.setattr(gcs_client, "PAUSES", (0.0, 0.0))
    monkeypatch.setattr(gcs_client, "TRANSFER", aiohttp.ClientTimeout(sock_read=0.3))
    monkeypatch.setattr(gcs_objects, "LIMIT", 2.0)
    with servers.bad_line(emulator) as bad:
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", bad.url)
        yield bad


@pytest.fixture
def bucket() -> str:
    """A name that no other test has."""
    return f"b-{uuid.uuid4().hex[:12]}"


@pytest.fixture
def gcs(tmp_path: Path) -> Sources:
    def make(task: Task = "classification", **chosen: Any) -> Gcs:
        values = DEFAULTS | {"source": "gcs", "credentials": "default"} | chosen
        return Gcs(build(GcsData, values, prefix="data."), task, tmp_path / "cache")

    return make
