"""How much would be free: compared with what the file system has free in `du`, and by the rules for links."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from passingloop.storage.disk_use import freed_bytes


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "run"
    (folder / "a" / "b").mkdir(parents=True)
    (folder / "a" / "file").write_bytes(os.urandom(300_000))
    (folder / "a" / "b" / "small").write_bytes(b"x")
    return folder


def by_du(*folders: Path) -> int:
    done = subprocess.run(["du", "-sB1", "-c", *map(str, folders)], capture_output=True, text=True, check=True)
    return int(done.stdout.splitlines()[-1].split()[0])


def test_blocks_count_as_du_counts_them(folder: Path) -> None:
    with (folder / "holes").open("wb") as file:
        file.truncate(10**9)
    assert freed_bytes([folder]) == by_du(folder)
    assert freed_bytes([folder]) < 10**6


def test_a_file_with_another_name_elsewhere_stays(folder: Path, tmp_path: Path) -> None:
    before = freed_bytes([folder])
    size = (folder / "a" / "file").stat().st_blocks * 512
    (tmp_path / "kept").hardlink_to(folder / "a" / "file")
    assert freed_bytes([folder]) == before - size
    (folder / "again").hardlink_to(folder / "a" / "file")
    assert freed_bytes([folder]) == before - size


def test_a_file_with_all_its_names_inside_counts_once(folder: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (folder / "again").hardlink_to(folder / "a" / "file")
    (other / "third").hardlink_to(folder / "a" / "file")
    assert freed_bytes([folder, other]) == by_du(folder, other)
    assert freed_bytes([folder]) + freed_bytes([other]) < freed_bytes([folder, other]) - 290_000


def test_links_are_not_followed(folder: Path, tmp_path: Path) -> None:
    before = freed_bytes([folder])
    (tmp_path / "big").mkdir()
    (tmp_path / "big" / "file").write_bytes(os.urandom(500_000))
    (folder / "link").symlink_to(tmp_path / "big")
    (folder / "loop").symlink_to(folder)
    assert freed_bytes([folder]) == by_du(folder)
    assert freed_bytes([folder]) - before < 10_000


def test_what_is_not_there_takes_nothing(tmp_path: Path) -> None:
    assert freed_bytes([tmp_path / "absent"]) == 0
