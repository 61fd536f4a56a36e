"""What a notice says of a run that has ended."""

from __future__ import annotations

import json
import os
import pwd
from pathlib import Path

import pytest

from passingloop.attempts.announcement import announce_end
from passingloop.notify import delivery
from passingloop.notify.delivery import finish_deliveries
from tests.cli.made import Runs
from tests.conftest import Compose
from tests.notify.receiver_programs import writing_program


@pytest.mark.process
def test_the_user_is_named_also_where_the_environment_names_none(
    compose: Compose, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivery, "UNDER_WAY", [])
    name = pwd.getpwuid(os.getuid()).pw_name
    monkeypatch.delenv("USER", raising=False)
    program = writing_program(tmp_path / "tell", tmp_path / "given")
    runs = Runs(compose)
    run = runs.start(runs.new())
    runs.end(run, "crash", 1)
    announce_end(run, runs.compose(f"notify.command=[{program}]"))
    finish_deliveries()
    [given] = (tmp_path / "given").read_text().splitlines()
    assert json.loads(json.loads(given)["stdin"])["user"] == name
