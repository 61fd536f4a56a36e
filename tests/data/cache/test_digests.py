"""A remembered digest is that of the file's bytes, whatever has happened to the file since."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from passingloop.data.cache import digests
from passingloop.data.cache.digests import LARGE_BYTES, file_sha256
from passingloop.data.cache.prune import prune_cache


@pytest.fixture
def large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A file that is worth remembering; it counts as settled at once."""
    monkeypatch.setattr(digests, "MIN_AGE_SECONDS", -1.0)
    path = tmp_path / "large"
    path.write_bytes(b"x" * LARGE_BYTES)
    yield path


def remembered(cache: Path) -> list[Path]:
    return sorted((cache / "digests").glob("*"))


def poison(cache: Path) -> None:
    """Make what is remembered wrong, so that its use shows."""
    [memory] = remembered(cache)
    memory.write_text(memory.read_text().replace('"sha256": "', '"sha256": "remembered'))


def test_a_file_that_has_not_changed_is_not_read_again(large: Path, tmp_path: Path) -> None:
    digest = file_sha256(large, tmp_path / "c")
    assert digest == hashlib.sha256(b"x" * LARGE_BYTES).hexdigest()
    poison(tmp_path / "c")
    assert file_sha256(large, tmp_path / "c") == f"remembered{digest}"


def rewritten(path: Path) -> None:
    path.write_bytes(b"y" * LARGE_BYTES)


def rewritten_and_set_back(path: Path) -> None:
    before = path.stat()
    path.write_bytes(b"y" * LARGE_BYTES)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def replaced(path: Path) -> None:
    other = path.with_name("other")
    other.write_bytes(b"y" * LARGE_BYTES)
    os.utime(other, ns=(path.stat().st_atime_ns, path.stat().st_mtime_ns))
    other.replace(path)


@pytest.mark.parametrize("change", [rewritten, rewritten_and_set_back, replaced])
def test_a_changed_file_is_read_again(large: Path, tmp_path: Path, change) -> None:
    file_sha256(large, tmp_path / "c")
    change(large)
    assert file_sha256(large, tmp_path / "c") == hashlib.sha256(b"y" * LARGE_BYTES).hexdigest()


def test_a_fresh_file_is_not_remembered(large: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(digests, "MIN_AGE_SECONDS", 10.0)
    file_sha256(large, tmp_path / "c")
    assert not remembered(tmp_path / "c")
    monkeypatch.setattr(time, "time", lambda: large.stat().st_ctime + 11)
    file_sha256(large, tmp_path / "c")
    assert remembered(tmp_path / "c")


def test_a_small_file_is_not_remembered(large: Path, tmp_path: Path) -> None:
    os.truncate(large, LARGE_BYTES - 1)
    file_sha256(large, tmp_path / "c")
    assert not remembered(tmp_path / "c")


@pytest.mark.parametrize("content", ["", "null", "[]", '{"size": 3}', "\0"])
def test_a_damaged_memory_is_no_memory(large: Path, tmp_path: Path, content: str) -> None:
    digest = file_sha256(large, tmp_path / "c")
    [memory] = remembered(tmp_path / "c")
    memory.write_text(content)
    assert file_sha256(large, tmp_path / "c") == digest


def test_a_cache_that_cannot_be_written_costs_time_only(large: Path, tmp_path: Path) -> None:
    (tmp_path / "c").write_text("no folder")
    assert file_sha256(large, tmp_path / "c") == hashlib.sha256(b"x" * LARGE_BYTES).hexdigest()


@pytest.mark.parametrize("content", [None, "null", "{}"])
def test_pruning_forgets_files_that_are_gone(large: Path, tmp_path: Path, content: str | None) -> None:
    gone = tmp_path / "gone"
    large.rename(gone)
    file_sha256(gone, tmp_path / "c")
    [of_gone] = remembered(tmp_path / "c")
    gone.rename(large)
    if content is not None:
        of_gone.write_text(content)
    digest = file_sha256(large, tmp_path / "c")
    prune_cache(tmp_path / "c", 10**9)
    [left] = remembered(tmp_path / "c")
    assert left != of_gone
    poison(tmp_path / "c")
    assert file_sha256(large, tmp_path / "c") == f"remembered{digest}"
