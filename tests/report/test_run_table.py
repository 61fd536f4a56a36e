"""The table of runs, on a terminal and elsewhere."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from passingloop.report import run_table

ROW = {
    "name": "quickstart",
    "state": "pending",
    "confirmed": True,
    "job_id": "123456_99",
    "attempt": 2,
    "step": 1200,
    "steps": 4000,
    "metrics": {"validation/loss": 0.5, "validation/accuracy": 0.9123},
    "throughput": {"samples_per_second": 812.4, "data_wait": 0.34},
    "nodes": [],
    "gpus": None,
    "shards": None,
    "since": "2026-03-02T10:00:00+00:00",
    "expected_start": None,
    "waits_for": None,
    "waits_since": None,
    "cause": "preempted",
    "message": "jobs of higher priority are before it",
    "action": None,
    "decided": None,
}


@pytest.mark.parametrize("name", ["quick", "a-name-of-" + "64" * 27])
def test_on_a_terminal_nothing_is_wider_than_it(name: str) -> None:
    rows = [{**ROW, "name": name, "signature": f"{number:012x}"} for number in range(3)]
    now = datetime(2026, 3, 2, 11, tzinfo=UTC)
    page = list(run_table.page(rows, now, 84, colour=False))
    assert max(len(line) for line in page) <= 84
    text = "\n".join(page)
    assert text.count("jobs of higher priority are before it") == 3
    assert page[-1] == f"{name}: 3 pending"
    assert "\x1b" not in text
    assert "\x1b[33mpending\x1b[0m" in "\n".join(run_table.page(rows, now, 84, colour=True))
    plain = list(run_table.lines(rows, now))
    assert len(plain) == 4
    assert all(line.startswith(f"{name}/") for line in plain[1:])


@pytest.mark.parametrize(
    ("nodes", "gpus", "shards", "shown"),
    [
        (["n1"], 1, None, "n1, 1 GPU"),
        (["n1", "n2"], 8, None, "n1 n2, 8 GPUs"),
        ([], 4, None, "4 GPUs: it waits"),
        (["n1"], 0, 2, "n1, 2 shards of a GPU"),
        ([], 0, 1, "1 shard of a GPU: it waits"),
        (["n1"], 0, None, "n1: it waits"),
    ],
)
def test_where_it_is_and_with_how_many_gpus(nodes: list[str], gpus: int, shards: int | None, shown: str) -> None:
    row = {**ROW, "signature": "0" * 12, "nodes": nodes, "gpus": gpus, "shards": shards, "message": "it waits"}
    [_, line] = run_table.lines([row], datetime(2026, 3, 2, 12, tzinfo=UTC))
    assert line.rpartition("  ")[2].startswith(shown)


@pytest.mark.parametrize(
    ("time", "shown"), [("02T10:00", "10:00"), ("01T10:00", "01 Mar"), (None, "2025-12-31"), ("02T23:30", "02 Mar")]
)
def test_times_are_as_short_as_they_can_be(time: str | None, shown: str) -> None:
    since = f"2026-03-{time}:00+00:00" if time else "2025-12-31T10:00:00+00:00"
    now = datetime(2026, 3, 3 if time == "02T23:30" else 2, 12, tzinfo=UTC)
    [_, line] = run_table.lines([{**ROW, "signature": "0" * 12, "since": since, "message": None}], now)
    assert line.endswith(shown)


def test_what_a_running_job_waits_for_and_since_when() -> None:
    waits = {"state": "running", "nodes": ["n1"], "waits_for": "Slurm.", "waits_since": "2026-03-02T10:45:00+00:00"}
    [_, line] = run_table.lines([{**ROW, "signature": "0" * 12, **waits}], datetime(2026, 3, 2, 11, tzinfo=UTC))
    assert line.endswith("n1: waits since 10:45: Slurm.")


def test_a_message_of_a_run_does_not_control_the_terminal() -> None:
    now = datetime(2026, 3, 2, 12, tzinfo=UTC)
    row = {**ROW, "name": "\x1b[8m", "signature": "0" * 12, "message": "failed\x1b[2J"}
    for page in (run_table.lines([row], now), run_table.page([row, row], now, 40, colour=False)):
        assert "\x1b" not in "".join(page)


@pytest.mark.parametrize("state", ["running", "completed", "pending", "interrupted"])
def test_the_speed_of_what_trains_and_of_what_is_done(state: str) -> None:
    [header, line] = run_table.lines(
        [{**ROW, "signature": "0" * 12, "state": state}], datetime(2026, 3, 2, 12, tzinfo=UTC)
    )
    assert ("samples/s" in header) is ("812, data wait 34 %" in line) is (state in ("running", "completed"))


def test_two_reasons_are_one_sentence() -> None:
    row = {**ROW, "signature": "0" * 12, "state": "running", "message": "Slurm says COMPLETING.", "action": "requeue",
           "decided": "It made way for another job at step 13."}  # fmt: skip
    [_, line] = run_table.lines([row], datetime(2026, 3, 2, 12, tzinfo=UTC))
    assert line.endswith("Slurm says COMPLETING; it made way for another job at step 13")
