"""What the site sets for everybody, and that users cannot undercut it."""

from __future__ import annotations

from pathlib import Path

import pytest

from passingloop import site as module
from passingloop.errors import ConfigError
from passingloop.site import FILE, Interactive, Site, read_site, site


@pytest.fixture
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """The folder of slurm.conf of the whole system, and one that SLURM_CONF names."""
    system, chosen = tmp_path / "system", tmp_path / "chosen"
    system.mkdir()
    chosen.mkdir()
    monkeypatch.setattr(module, "SYSTEM_FOLDER", system)
    monkeypatch.setenv("SLURM_CONF", str(chosen / "slurm.conf"))
    return system, chosen


def test_without_a_file_the_defaults_hold(folders: tuple[Path, Path]) -> None:
    assert site() == Site()


def test_the_file_is_beside_slurm_conf(folders: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    system, chosen = folders
    (chosen / FILE).write_text('poll_seconds = 20\n[interactive]\nqos = "small"\nidle_end_minutes = 90\n')
    (system / FILE).write_text("poll_seconds = 10\nsnapshot_folder = '/run/passingloop'\n")
    assert site() == Site(poll_seconds=20, interactive=Interactive(qos="small", idle_end_minutes=90))
    monkeypatch.delenv("SLURM_CONF")
    assert site() == Site(poll_seconds=10, snapshot_folder=Path("/run/passingloop"))


def test_a_user_cannot_ask_more_often_than_the_system_allows(
    folders: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    system, chosen = folders
    monkeypatch.setattr(module, "ROOT", system.stat().st_uid)
    (chosen / FILE).write_text("poll_seconds = 2\n")
    assert site().poll_seconds == 2
    (system / FILE).write_text("poll_seconds = 60\n")
    assert site().poll_seconds == 60


def test_a_file_of_a_users_own_cannot_ask_more_often_than_the_default(
    folders: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    _, chosen = folders
    monkeypatch.setattr(module, "ROOT", chosen.stat().st_uid + 1)
    (chosen / FILE).write_text("poll_seconds = 1\n")
    assert site().poll_seconds == Site().poll_seconds
    (chosen / FILE).write_text("poll_seconds = 30\n")
    assert site().poll_seconds == 30


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("poll_secnds = 3", "There is no setting poll_secnds. Did you mean poll_seconds?"),
        ("poll_seconds = 'often'", "poll_seconds=often, but poll_seconds must be a number"),
        ("poll_seconds = 0", "poll_seconds must be 1 or more"),
        ("interactive = 3", "interactive is a section"),
        ("[interactive]\ntime = '4 hours'", "interactive.time must be minutes, H:MM:SS or D-HH:MM:SS"),
        ("poll_seconds 3", "cannot be read"),
        ("[gpu_idle]\nend = true\nend_minutes = 100", "there is a warning after 105"),
        ("[interactive]\nidle_warning_minutes = 2\nidle_end_minutes = 1", "would be ended before it is warned"),
    ],
)
def test_a_mistake_is_named_with_the_file(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / FILE).write_text(text)
    with pytest.raises(ConfigError) as caught:
        read_site(tmp_path / FILE)
    assert message in str(caught.value)
    assert str(tmp_path / FILE) in str(caught.value)
