"""Where compiled code is kept."""

from __future__ import annotations

import grp
import os
import pwd
from pathlib import Path

import pytest

from passingloop.startup import compiled_code
from passingloop.startup.compiled_code import CODE_FOLDER, _is_own_group, private_code


def test_compiled_code_is_kept_in_the_users_own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "code"
    monkeypatch.setenv(CODE_FOLDER, str(folder))
    with private_code():
        assert os.environ[CODE_FOLDER] == str(folder)
    assert folder.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("trap", ["writable", "link", "file", "none", "shared cache"])
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
    elif trap == "shared cache":  # in which others could put a folder of their own in its place
        shared = tmp_path / "cache"
        shared.mkdir()
        shared.chmod(0o777)
        folder = shared / "code"
    monkeypatch.setenv(CODE_FOLDER, "" if trap == "none" else str(folder))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    with private_code():
        kept = Path(os.environ[CODE_FOLDER])
        assert kept != folder
        assert kept.parent == tmp_path and kept.stat().st_mode & 0o777 == 0o700
    assert not kept.exists()


@pytest.mark.parametrize(("mode", "kept"), [(0o1777, True), (0o755, True), (0o775, False), (0o777, False)])
def test_code_is_kept_where_nobody_can_replace_the_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: int, kept: bool
) -> None:
    shared = tmp_path / "cache"
    shared.mkdir()
    shared.chmod(mode)
    monkeypatch.setattr(compiled_code, "_is_own_group", lambda group: False)  # root's is here, where root runs tests
    for cache in (shared, tmp_path / "link"):
        if cache != shared:
            cache.symlink_to(shared)
        folder = cache / "deeper" / "code"
        folder.parent.mkdir(exist_ok=True)
        monkeypatch.setenv(CODE_FOLDER, str(folder))
        with private_code():
            assert (os.environ[CODE_FOLDER] == str(folder)) is kept


def test_a_group_with_other_members_is_not_the_users_own() -> None:
    own = pwd.getpwuid(os.geteuid())
    assert not _is_own_group(2**31 - 3), "there is none"
    others = [group for group in grp.getgrall() if group.gr_gid != own.pw_gid]
    assert others and not any(_is_own_group(group.gr_gid) for group in others)
