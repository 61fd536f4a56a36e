"""Runs read from their directories."""

from __future__ import annotations

import json
import os
import tempfile
import time
from pathlib import Path

import pytest

from passingloop.files import write_json
from passingloop.rundir.directory import RunDir
from passingloop.rundir.events import Seconds, Wait
from passingloop.rundir.ledger import append
from passingloop.rundir.record import iso_time
from passingloop.usage.run_records import UNREADABLE, read_run, run_directories
from passingloop.vitals import pulse
from passingloop.vitals.pulse import Pulse
from tests.usage.told import NOON, USER, Told


def test_an_attempt_that_runs_has_lost_nothing_yet(told: Told) -> None:
    run = told.runs.new("name=a")
    told.start(run, 0, "12")
    spent = Seconds(starting=60, training=500, saving=5, lost=200, evaluating=40, data_wait=3)
    pulse.write(run, Pulse(attempt=1, step=70, saved_step=50, seconds=spent))
    now = NOON + 600
    os.utime(run.pulse, (now - 1, now - 1))
    record = read_run(run, 0.0, now)
    assert record
    [attempt] = record.attempts
    assert (attempt.is_running, attempt.cause, attempt.ended, attempt.lost) == (True, None, now, 0.0)
    assert (attempt.starting, attempt.training, attempt.evaluating, attempt.data_wait) == (60, 500, 40, 3)
    later = read_run(run, 0.0, now + 5000)
    assert later
    [attempt] = later.attempts
    assert (attempt.is_running, attempt.cause, attempt.ended, attempt.lost) == (False, "unknown", now - 1, 200)


def test_what_happened_long_ago_is_not_read(told: Told) -> None:
    run = told.runs.new("name=a")
    told.start(run, 0, "12")
    told.end(run, 600, "completed", training=500)
    assert read_run(run, NOON - 1000, NOON + 10_000)
    os.utime(run.attempts, (NOON + 600, NOON + 600))
    run.record.write_text("{")
    assert read_run(run, NOON + 200_000, NOON + 300_000) is None


def test_only_one_users(told: Told) -> None:
    run = told.runs.new("name=a")
    told.start(run, 0, "12")
    read = read_run(run, 0.0, NOON, USER)
    assert read
    assert read.user == USER
    assert read_run(run, 0.0, NOON, "somebody-else") is None


def test_the_speed_of_a_result(told: Told) -> None:
    run = told.runs.new("name=a")
    told.start(run, 0, "12")
    told.end(run, 600, "completed", training=500)
    write_json(run.result, {"throughput": {"tokens_per_second": 9000.0, "mfu_causal": 0.51, "padding": None}})
    record = told.read(run)
    assert (record.mfu, record.throughput) == (0.51, {"tokens_per_second": 9000.0, "mfu_causal": 0.51})
    contents: list[dict[str, object]] = [{}, {"throughput": None}, {"throughput": {"mfu_causal": None}}]
    for content in contents:  # of an earlier version, damaged, of a CPU
        write_json(run.result, content)
        assert (told.read(run).mfu, told.read(run).throughput) == (None, {})


def test_a_run_that_was_never_queued(told: Told) -> None:
    run = told.runs.new("name=a")
    run.attempts.touch()
    assert read_run(run, 0.0, NOON) is None


def test_waits(told: Told) -> None:
    run = told.runs.new("name=a")
    told.queued(run, 0, "12")
    for at, reason in ((10.0, "for a lock"), (20.0, "for a lock"), (50.0, None), (60.0, "for a step")):
        append(run, Wait(attempt=1, reason=reason, time=iso_time(NOON + at)))
    told.start(run, 75, "12")
    told.end(run, 100, "completed")
    [attempt] = told.read(run).attempts
    assert [(start - NOON, end - NOON) for start, end in attempt.waits] == [(10, 50), (60, 75)]


def test_directories(told: Told, tmp_path: Path) -> None:
    run = told.runs.new("name=a")
    told.start(run, 0, None)
    root = run.path.parents[1]
    (root / ".passingloop-0" / "open").mkdir(parents=True)
    (root / "b" / "nothing").mkdir(parents=True)
    (root / "file").touch()
    assert list(run_directories(root)) == [run]
    assert list(run_directories(tmp_path / "none")) == []


@pytest.mark.skipif(os.getuid() != 0, reason="only root can be somebody else")
def test_what_is_closed_to_us_is_no_run_of_ours() -> None:
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        for number, mode in enumerate((0o755, 0o700)):
            folder = root / "a" / str(number)
            folder.mkdir(parents=True)
            (folder / "attempts.jsonl").touch()
            folder.chmod(mode)
        root.chmod(0o755)
        os.seteuid(65534)
        try:
            assert list(run_directories(root)) == [RunDir(root / "a" / "0")]
        finally:
            os.seteuid(0)


def test_the_settings_are_those_of_the_newest_attempt(told: Told) -> None:
    run = told.runs.new("name=a")
    told.start(run, 0, None)
    config = json.loads(run.record.read_text())["config"]
    assert told.read(run).settings == config
    run.launch(1).parent.mkdir()
    write_json(run.launch(1), config | {"name": "other"})
    assert told.read(run).settings["name"] == "other"


@pytest.mark.parametrize("content", ["", "{", '{"schema": 99}', "[]"])
def test_a_record_that_cannot_be_read_is_an_error(told: Told, content: str) -> None:
    run = told.runs.new("name=a")
    told.start(run, 0, None)
    run.record.write_text(content)
    with pytest.raises(UNREADABLE):
        read_run(run, 0.0, time.time())
