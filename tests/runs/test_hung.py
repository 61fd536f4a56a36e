"""A run in a shell hangs: it ends, the receivers are told, and the same command continues it exactly."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from passingloop.rundir.directory import RunDir
from tests.notify.receiver_programs import writing_program
from tests.runs.hanging import hanging
from tests.runs.small import lines

pytestmark = [pytest.mark.process, pytest.mark.slow]


def test_it_ends_and_the_same_command_continues_it(
    command: Callable[..., subprocess.Popen[str]], small: tuple[str, ...], work: Path
) -> None:
    program = writing_program(work / "tell", work / "told")
    words = (*small, "tracking=none", "resources=cpu", "resources.tasks=2", "checkpoint.every_steps=2")
    watched = (*words, "name=hangs", "watch.stuck_minutes=0.1", f"notify.command=[{program}]")
    with command(*words, "name=whole") as whole:
        out, _ = whole.communicate()
    with command(*watched, env=hanging(work, "holds the lock", rank=0, step=6)) as hangs:
        path, said = hangs.communicate()
    assert hangs.returncode == 1
    assert "No progress for " in said
    assert "The same command continues from the last checkpoint." in said
    run = RunDir(Path(path.strip()))
    [end] = lines(run.attempts, event="end")
    assert (end["cause"], end["rank"]) == ("hung", 0)
    assert lines(run.attempts, event="decision") == []
    assert " in enter_or_hang" in run.log(1, 0).read_text()
    with command(*watched) as again:
        again.communicate()
    assert again.returncode == 0
    results = [RunDir(Path(folder.strip())).read_result() or {} for folder in (out, path)]
    assert results[0]["weights_sha256"] == results[1]["weights_sha256"]
    heard = [json.loads(line)["env"] for line in (work / "told").read_text().splitlines()]
    assert [notice["PASSINGLOOP_NOTICE_OCCASION"] for notice in heard] == ["failed", "done"]
    assert heard[0]["PASSINGLOOP_NOTICE_CAUSE"] == "hung"
