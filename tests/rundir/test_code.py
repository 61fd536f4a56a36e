"""Frozen code: of the package as it is, and of a commit."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from passingloop.rundir import code
from passingloop.rundir.code import FrozenCode, code_identity


def git(root: Path, *words: str) -> None:
    who = ["-c", "user.name=a", "-c", "user.email=a@b"]
    subprocess.run(["git", "-C", str(root), *who, *words], check=True, capture_output=True)


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package in a git checkout that takes the place of ours."""
    package = tmp_path / "src" / "passingloop"
    (package / "room").mkdir(parents=True)
    (package / "__init__.py").write_text("one = 1\n")
    (package / "room" / "é.py").write_text("two = 2\n")
    (package / "py.typed").write_text("")
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-qm", "first")
    monkeypatch.setattr(code, "PACKAGE", package)
    return package


def test_the_code_of_a_commit_is_what_was_frozen_then(package: Path, tmp_path: Path) -> None:
    then, identity = FrozenCode.of_package(tmp_path / "frozen"), code_identity()
    (package / "__init__.py").write_text("one = 11\n")
    git(tmp_path, "commit", "-qam", "second")
    assert FrozenCode.of_package(tmp_path / "frozen").folder != then.folder
    again = FrozenCode.of_version(tmp_path / "frozen", identity)
    assert again is not None
    assert (again.folder, again.files, again.identity()) == (then.folder, then.files, identity)
    (tmp_path / "frozen").mkdir()
    again.write()
    assert (again.folder / "passingloop" / "__init__.py").read_text() == "one = 1\n"


def test_what_was_not_committed_is_not_to_be_had(package: Path, tmp_path: Path) -> None:
    (package / "__init__.py").write_text("one = 12\n")
    assert FrozenCode.of_version(tmp_path, code_identity()) is None
    assert FrozenCode.of_version(tmp_path, {"version": "1", "commit": "0" * 40, "changes": None}) is None
    assert FrozenCode.of_version(tmp_path, {"version": "1", "commit": None, "changes": None}) is None
