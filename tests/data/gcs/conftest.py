"""Fixtures of Google Cloud Storage: the emulator, a bad line to it, and the source of a configuration.

| fixture | is |
|---|---|
| `emulator` | the emulator of the session; `STORAGE_EMULATOR_HOST` names it during the test |
| `bad_line` | the same behind a line that can be made to fail, soon given up |
| `bucket` | a name that no other test has |
| `key_file` | `key_file(url)`: a service account's, whose tokens are handed out at `url` |
| `gcs` | `gcs(train="gs://b/a.csv")`: the source, as the command line would configure it |
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from passingloop.config.build import build
from passingloop.config.settings import Task
from passingloop.data.gcs import client, objects
from passingloop.data.gcs.settings import GcsData
from passingloop.data.gcs.source import Gcs
from tests.data.conftest import DEFAULTS
from tests.data.gcs import servers

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
    monkeypatch.setattr(client, "RETRY_PAUSES", (0.0, 0.0))
    monkeypatch.setattr(client, "DOWNLOAD_TIMEOUT", aiohttp.ClientTimeout(sock_read=0.3))
    monkeypatch.setattr(objects, "REQUEST_SECONDS", 2.0)
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


@pytest.fixture(scope="session")
def private_key() -> str:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


@pytest.fixture
def key_file(tmp_path: Path, private_key: str) -> Callable[[str], str]:
    """``key_file(url)``: a service account's, whose tokens are handed out at `url`."""

    def write(url: str) -> str:
        path = tmp_path / "key.json"
        key = {
            "type": "service_account",
            "private_key": private_key,
            "client_email": "reader@project.iam",
            "token_uri": url,
        }
        path.write_text(json.dumps(key))
        return str(path)

    return write
