"""The folders of sessions: private, and told apart by their batch scripts."""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from passingloop import files
from passingloop.errors import ConfigError, OtherVersion
from passingloop.interactive.session import KEPT_SECONDS, Asked, Home, Session

ASKED = Asked(kind="notebook", nodes=1, gpus=1, cpus=2, lasting=True, folder="/somewhere")


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Home]:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    before = os.umask(0o002)  # as on sites where groups share everything
    yield Home.of_user()
    os.umask(before)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_all_of_it_is_the_users_alone(home: Home) -> None:
    session = home.new_session(ASKED)
    assert {mode(path) for path in (home.path, home.ssh, home.sessions, session.folder)} == {0o700}
    assert mode(session.token) == 0o600
    assert len(session.token.read_text()) > 40
    assert session.asked() == ASKED


def test_two_sessions_have_two_tokens(home: Home) -> None:
    assert home.new_session(ASKED).token.read_text() != home.new_session(ASKED).token.read_text()


@pytest.mark.parametrize("spoilt", [0o750, 0o701])
def test_a_folder_that_others_may_enter_is_refused(home: Home, spoilt: int) -> None:
    home.path.chmod(spoilt)
    with pytest.raises(ConfigError, match=f"chmod 700 {home.path}"):
        Home.of_user()


def test_a_link_in_its_place_is_refused(home: Home, tmp_path: Path) -> None:
    home.path.rename(tmp_path / "elsewhere")
    home.path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ConfigError, match="belongs to user"):
        Home.of_user()


def test_the_session_of_a_job_is_found_by_its_script(home: Home, tmp_path: Path) -> None:
    session = home.new_session(ASKED)
    assert home.session_of(str(session.script)) == session
    assert home.session_of(str(tmp_path / "job.sh")) is None
    assert home.session_of(str(home.sessions / "gone" / "keeper.sh")) is None


def test_what_the_job_reports(home: Home) -> None:
    session = home.new_session(ASKED)
    assert session.reported() == {}
    session.report(node="n1", port=8888)
    session.report(node="n1")
    assert session.reported() == {"node": "n1"}
    (session.folder / "state.json").write_text('{"node": "n')  # in the middle of being written
    assert session.reported() == {}


def test_exits_are_counted(home: Home) -> None:
    session = home.new_session(ASKED)
    assert session.exits() == 0
    session.note_exit()
    session.note_exit()
    assert session.exits() == 2
    gone = Session(home.sessions / "gone")
    gone.note_exit()  # the session has ended, and its folder was removed
    assert gone.exits() == 0


def test_another_version_says_what_to_do(home: Home) -> None:
    session = home.new_session(ASKED)
    record = session.folder / "session.json"
    files.write_json(record, files.read_json(record) | {"version": 99})
    with pytest.raises(OtherVersion, match="scancel"):
        session.asked()


def test_old_folders_are_removed_unless_their_job_goes_on(home: Home) -> None:
    old, running, new = (home.new_session(ASKED) for _ in range(3))
    past = time.time() - KEPT_SECONDS - 1
    for session in (old, running):
        os.utime(session.folder, (past, past))
    home.prune(kept=[running])
    assert {Session(path) for path in home.sessions.iterdir()} == {running, new}
