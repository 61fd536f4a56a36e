"""What the receivers of notices need is looked for before the training: here as an error, for a job as far as known."""

from __future__ import annotations

from pathlib import Path

import pytest

from passingloop.config.watching import NotifyConfig
from passingloop.notify import readiness
from passingloop.notify.readiness import problems_here, problems_in_a_job
from tests.notify.receiver_programs import writing_program


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only one in which programs are looked for."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(readiness, "MAILER_FOLDERS", ())
    return tmp_path


def test_nothing_is_wrong_with_receivers_that_are_here(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OUR_HOOK", "https://hooks.example.org/x")
    for name in ("tell", "sendmail"):
        writing_program(folder / name, folder / "given")
    notify = NotifyConfig(command=("tell", "-q"), email=("me@example.org",), webhook_env="OUR_HOOK")
    assert [*problems_here(notify), *problems_in_a_job(notify)] == []


def test_each_receiver_that_is_not_here_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = folder / "plain"
    plain.touch(mode=0o644)
    monkeypatch.setenv("OUR_HOOK", "secret-address")
    notify = NotifyConfig(command=(str(plain),), email=("me@example.org",), webhook_env="OUR_HOOK")
    command, mail, hook = problems_here(notify)
    assert f"{plain} is no program that can be started here" in command
    assert "this machine has no sendmail" in mail
    assert "holds no address" in hook
    assert "secret-address" not in hook


@pytest.mark.usefixtures("folder")
def test_of_a_job_only_what_holds_on_all_nodes_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OUR_HOOK", raising=False)
    notify = NotifyConfig(command=("tell",), email=("me@example.org",), webhook_env="OUR_HOOK")
    [hook] = problems_in_a_job(notify)
    assert "OUR_HOOK is not set" in hook
    [command] = problems_in_a_job(NotifyConfig(command=("/nosuch/prog",)))
    assert "/nosuch/prog is no program that can be started on this machine" in command
