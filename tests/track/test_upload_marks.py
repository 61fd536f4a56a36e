from __future__ import annotations

import json
from pathlib import Path

import pytest

from passingloop.rundir.directory import RunDir
from passingloop.track.upload_marks import mark_uploaded, missing_uploads, wandb_files

OFFLINE, ONLINE = "offline-run-20261129_120000-abc123", "run-20261129_130000-abc123"


@pytest.fixture
def run(tmp_path: Path) -> RunDir:
    for name in (ONLINE, OFFLINE):
        (tmp_path / "wandb" / name).mkdir(parents=True)
        (tmp_path / "wandb" / name / "run-abc123.wandb").write_text(name)
    return RunDir(tmp_path)


def test_folders_are_listed_oldest_first(run: RunDir) -> None:
    (run.path / "wandb" / "latest-run").symlink_to(ONLINE)
    assert list(wandb_files(run)) == [OFFLINE, ONLINE]


def test_what_was_uploaded_is_not_missing(run: RunDir) -> None:
    assert missing_uploads(run) == [OFFLINE, ONLINE]
    mark_uploaded(run, [ONLINE], address="https://w/1")
    assert missing_uploads(run) == [OFFLINE]
    mark_uploaded(run, [OFFLINE, ONLINE], address="https://w/2", rows=7)
    assert missing_uploads(run) == []


def test_a_file_that_has_changed_since_is_missing(run: RunDir) -> None:
    mark_uploaded(run, [OFFLINE, ONLINE], address="https://w/1")
    wandb_files(run)[OFFLINE].write_text("more")
    assert missing_uploads(run) == [OFFLINE]


def test_a_torn_mark_counts_for_nothing(run: RunDir) -> None:
    mark_uploaded(run, [OFFLINE], address="https://w/1")
    path = run.path / "wandb" / "uploads.jsonl"
    path.write_text(path.read_text()[:-20])
    assert missing_uploads(run) == [OFFLINE, ONLINE]
    mark_uploaded(run, [OFFLINE, ONLINE], address="https://w/1")
    assert missing_uploads(run) == []
    assert len(json.loads(path.read_text().splitlines()[-1])["files"][OFFLINE]) == 64


def test_a_run_without_wandb_misses_nothing(tmp_path: Path) -> None:
    assert missing_uploads(RunDir(tmp_path)) == []
