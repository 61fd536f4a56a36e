"""What has been measured is found again by all that it depends on: in the run first, then in the cache."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from passingloop.data.cache.measurements import Measurements

KEY = {"what": "memory", "device": "H200", "length": 128}


def test_another_run_finds_what_one_has_measured_and_then_has_it_too(tmp_path: Path) -> None:
    Measurements(tmp_path / "one.json", tmp_path / "cache").keep(KEY, {"tokens": 4096, "gain": 1.25})
    other = tmp_path / "other.json"
    assert Measurements(other, tmp_path / "cache").find(KEY) == {"tokens": 4096, "gain": 1.25}
    assert Measurements(other, tmp_path / "no cache").find(KEY) == {"tokens": 4096, "gain": 1.25}
    assert Measurements(tmp_path / "third.json", tmp_path / "cache").find({**KEY, "length": 64}) is None


def test_a_run_keeps_what_it_went_by(tmp_path: Path) -> None:
    mine = Measurements(tmp_path / "mine.json", tmp_path / "cache")
    mine.keep(KEY, {"tokens": 1})
    mine.keep({**KEY, "length": 64}, {"tokens": 3}, for_others=False)
    other = Measurements(tmp_path / "other.json", tmp_path / "cache")
    other.keep(KEY, {"tokens": 2})
    assert [run.find(KEY) for run in (mine, other)] == [{"tokens": 1}, {"tokens": 2}]
    assert mine.find({**KEY, "length": 64}) == {"tokens": 3}
    assert other.find({**KEY, "length": 64}) is None


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        '{"key": {}, "figures": {"tokens": 5}}',
        json.dumps({"key": KEY, "figures": [1]}),
        json.dumps({"key": KEY, "figures": {"tokens": "many"}}),
        json.dumps({"key": KEY, "figures": {"tokens": float("nan")}}),
        json.dumps({"key": KEY, "figures": {"tokens": 10**400}}),
        "[" * 100_000,
        json.dumps({"key": KEY}),
    ],
)
def test_what_is_damaged_or_strange_counts_as_not_measured(tmp_path: Path, content: str) -> None:
    Measurements(tmp_path / "one.json", tmp_path).keep(KEY, {"tokens": 7})
    (entry,) = (tmp_path / "measured").iterdir()
    entry.write_text(content)
    assert Measurements(tmp_path / "other.json", tmp_path).find(KEY) is None


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_cache_that_cannot_be_written_only_costs_time(tmp_path: Path) -> None:
    (tmp_path / "cache").mkdir(mode=0o500)
    run = Measurements(tmp_path / "own.json", tmp_path / "cache")
    run.keep(KEY, {"tokens": 7})
    assert run.find(KEY) == {"tokens": 7}


def test_folders_that_are_missing_only_cost_time(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    run = Measurements(tmp_path / "missing" / "own.json", tmp_path / "file")
    run.keep(KEY, {"tokens": 7})
    assert run.find(KEY) is None


@pytest.mark.timeout(20)
def test_a_pipe_that_somebody_put_into_the_cache_is_not_waited_for(tmp_path: Path) -> None:
    Measurements(tmp_path / "one.json", tmp_path).keep(KEY, {"tokens": 7})
    (entry,) = (tmp_path / "measured").iterdir()
    entry.unlink()
    os.mkfifo(entry)
    assert Measurements(tmp_path / "other.json", tmp_path).find(KEY) is None
