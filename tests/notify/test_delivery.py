"""A notice is delivered by a process of its own, whatever its receivers do."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from passingloop.config.watching import NotifyConfig
from passingloop.notify import delivery
from passingloop.notify.delivery import begin_delivery, finish_deliveries
from tests.notify.receiver_programs import hook_server, writing_program
from tests.notify.test_receivers import NOTICE


@pytest.fixture(autouse=True)
def none_under_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivery, "UNDER_WAY", [])


@pytest.mark.process
def test_all_get_it_and_one_that_fails_harms_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    program = writing_program(tmp_path / "tell", tmp_path / "given", code=3)
    with hook_server([200]) as hook:
        monkeypatch.setenv("OUR_HOOK", f"{hook.address}/SECRET")
        begin_delivery(NOTICE, NotifyConfig(command=(str(program),), webhook_env="OUR_HOOK", webhook_form="json"))
        [process] = delivery.UNDER_WAY
        command_line = Path(f"/proc/{process.pid}/cmdline").read_text()
        os.kill(process.pid, signal.SIGTERM)  # as Slurm does to all of a job that ends
        finish_deliveries()
    assert process.returncode == 0
    assert "SECRET" not in command_line
    assert hook.requests[0]["body"]["subject"] == NOTICE.subject
    assert json.loads((tmp_path / "given").read_text())["env"]["PASSINGLOOP_NOTICE_CAUSE"] == "crash"
    said = capfd.readouterr().err
    assert "ended with exit code 3" in said
    assert "SECRET" not in said


WAITER = """
import sys, time
from passingloop.config.watching import NotifyConfig
from passingloop.notify import delivery
from tests.notify.test_receivers import NOTICE
delivery.begin_delivery(NOTICE, NotifyConfig(webhook_env="OUR_HOOK"))
print("begun", flush=True)
"""


@pytest.mark.process
def test_a_supervisor_that_ends_waits_for_what_it_has_begun(monkeypatch: pytest.MonkeyPatch) -> None:
    with hook_server([200]) as hook:
        done = subprocess.run(
            [sys.executable, "-c", WAITER],
            env=os.environ | {"OUR_HOOK": hook.address},
            cwd=Path(__file__).parents[2],
            capture_output=True,
            text=True,
            check=True,
        )
        assert len(hook.requests) == 1
    assert done.stdout == "begun\n"
