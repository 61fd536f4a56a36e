"""Folders: each check with evidence by which it says something is wrong, and with evidence by which it does not."""

from __future__ import annotations

from typing import Any

import pytest

from passingloop.doctor.folder_checks import FolderEvidence, folder_findings
from passingloop.doctor.preemption_checks import SaveMeasure
from tests.doctor.said import levels

SOUND = {
    "path": "/shared/runs",
    "probed": "/shared/runs",
    "kind": "nfs4",
    "options": ("rw", "hard"),
    "free_bytes": 1 << 40,
    "free_files": 1 << 20,
}
SAVE = SaveMeasure(run="/shared/runs/a/1", at_most=3, at_least=1, bytes=1_000_000)


def said(check: str, save: SaveMeasure | None = None, **changes: Any) -> list[str]:
    return levels(folder_findings(FolderEvidence(**SOUND | changes), "run_root", save, keep=2), check)


def test_a_sound_folder() -> None:
    found = list(folder_findings(FolderEvidence(**SOUND), "run_root", None, keep=2))
    assert [finding.check for finding in found] == ["run_root", "locks", "rename", "space", "clock"]
    assert set(levels(found)) == {"ok"}


def test_a_folder_that_cannot_be_written_is_said_to_be_so_and_nothing_else_of_it() -> None:
    found = list(folder_findings(FolderEvidence(**SOUND | {"error": "Permission denied"}), "run_root", None, keep=2))
    assert levels(found) == ["problem"]
    assert "Permission denied" in found[0].what


@pytest.mark.parametrize(
    ("changes", "level"),
    [
        ({"mode": 0o0700}, "ok"),
        ({"mode": 0o0777}, "warning"),
        ({"mode": 0o1777}, "ok"),
        ({"mode": 0o0777, "probed": "/shared"}, "ok"),  # the folder itself is made with other rights
        ({"foreign": True, "mode": 0o0770}, "warning"),
        ({"foreign": True, "mode": 0o1777}, "ok"),
        ({"foreign": True, "mode": 0o0770, "probed": "/shared"}, "ok"),
    ],
)
def test_who_may_take_runs_away(changes: dict[str, Any], level: str) -> None:
    assert said("run_root", **changes) == [level]


@pytest.mark.parametrize(
    ("changes", "level"),
    [
        ({"lock_error": "No locks available"}, "problem"),
        ({"kind": "nfs", "options": ("rw", "nolock")}, "problem"),
        ({"kind": "nfs4", "options": ("rw", "local_lock=all")}, "problem"),
        ({"kind": "nfs4", "options": ("rw", "local_lock=flock")}, "problem"),
        ({"kind": "nfs4", "options": ("rw", "local_lock=none")}, "ok"),
        ({"kind": "lustre", "options": ("rw", "localflock")}, "problem"),
        ({"kind": "lustre", "options": ("rw", "flock")}, "ok"),
        ({"kind": "ext4", "options": ()}, "ok"),
    ],
)
def test_locks(changes: dict[str, Any], level: str) -> None:
    assert said("locks", **changes) == [level]


def test_a_soft_mount() -> None:
    assert said("mount", options=("rw", "soft")) == ["warning"]
    assert said("mount", options=("rw", "hard")) == []
    assert said("mount", kind="ext4", options=("rw", "soft")) == []


@pytest.mark.parametrize(
    ("changes", "level"),
    [({"rename_error": "Invalid argument"}, "problem"), ({"sync_seconds": 9.0}, "warning"), ({}, "ok")],
)
def test_replacing_a_file(changes: dict[str, Any], level: str) -> None:
    assert said("rename", **changes) == [level]


@pytest.mark.parametrize(
    ("changes", "save", "level"),
    [
        ({"free_bytes": 2_900_000}, SAVE, "problem"),  # three checkpoints take 3 MB
        ({"free_bytes": 8_900_000}, SAVE, "warning"),
        ({"free_bytes": 9_100_000}, SAVE, "ok"),
        ({"free_bytes": 1 << 29}, None, "problem"),
        ({"free_bytes": 2 << 30}, None, "warning"),
        ({"free_bytes": 20 << 30}, None, "ok"),
        ({"free_files": 100}, None, "warning"),
        ({"free_files": None}, None, "ok"),
        ({"free_bytes": None}, None, "unknown"),
    ],
)
def test_room(changes: dict[str, Any], save: SaveMeasure | None, level: str) -> None:
    assert said("space", save, **changes) == [level]


def test_checkpoints_need_no_room_in_the_cache() -> None:
    seen = FolderEvidence(**SOUND | {"free_bytes": 20 << 30})
    large = SaveMeasure(run="a", at_most=1, at_least=1, bytes=100 << 30)
    assert levels(folder_findings(seen, "cache_root", large, keep=2), "space") == ["ok"]


@pytest.mark.parametrize(("offset", "level"), [(0.2, "ok"), (-4.0, "ok"), (60.0, "warning"), (-60.0, "warning")])
def test_the_file_servers_clock(offset: float, level: str) -> None:
    assert said("clock", clock_offset=offset) == [level]
