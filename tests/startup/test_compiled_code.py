"""Where compiled code is kept."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from passingloop.startup.compiled_code import CODE_FOLDER, private_code


def test_compiled_code_is_kept_in_the_users_own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "code"
    monkeypatch.setenv(CODE_FOLDER, str(folder))
    with private_code():
        assert os.environ[CODE_FOLDER] == str(folder)
    assert folder.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("trap", ["writable", "link", "file", "none"])
def test_code_that_others_could_have_put_there_is_not_executed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trap: str
) -> None:
    folder = tmp_path / "code"
    if trap == "writable":
        folder.mkdir()
        folder.chmod(0o770)
    elif trap == "link":
        (tmp_path / "elsewhere").mkdir()
        folder.symlink_to(tmp_path / "elsewhere")
    elif trap == "file":
        folder.write_text("")
    monkeypatch.setenv(CODE_FOLDER, "" if trap == "none" else str(folder))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    with private_code():
        kept = Path(os.environ[CODE_FOLDER])
        assert kept != folder
        assert kept.parent == tmp_path and kept.stat().st_mode & 0o777 == 0o700
    assert not kept.exists()
