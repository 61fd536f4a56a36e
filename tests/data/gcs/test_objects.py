"""Objects are sent once, and again when their content is another."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from passingloop.data.gcs.connection import open_connection
from tests.data.gcs.servers import Emulator


# gcsfs gives pieces to aiohttp as bytes; what that costs is measured in docs/decisions/0020-gcsfs-internals.md.
@pytest.mark.filterwarnings("ignore:Sending a large body:ResourceWarning")
def test_what_is_there_already_is_not_sent_again(emulator: Emulator, bucket: str, tmp_path: Path) -> None:
    emulator.put(f"gs://{bucket}/other", "x")
    path = tmp_path / "a.bin"
    large = hashlib.shake_256(b"a").digest(20 << 20)
    with open_connection("default", "export.credentials", "read_write") as objects:
        for content in (b"", b"\r\n\x00", large):
            path.write_bytes(content)
            url = f"gs://{bucket}/m/{len(content)}"
            assert objects.upload(path, url)
            assert emulator.get(url) == content
            assert not objects.upload(path, url)
            path.write_bytes(content + b"x")
            assert objects.upload(path, url)
            assert emulator.get(url) == content + b"x"
