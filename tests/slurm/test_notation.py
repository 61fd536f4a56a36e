"""Slurm's notations: times, lists of nodes, names of array tasks."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from passingloop.slurm import notation
from passingloop.slurm.notation import doubled_memory, duration_text, node_count, node_names, seconds, warning_seconds


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("30", 1800.0),
        ("1:30", 90.0),
        ("4:00:00", 14400.0),
        ("2-12", 216000.0),
        ("2-12:30", 217800.0),
        ("2-12:30:15", 217815.0),
        ("UNLIMITED", None),
        ("INVALID", None),
        ("", None),
    ],
)
def test_times_are_read_as_sbatch_reads_them(text: str, expected: float | None) -> None:
    assert seconds(text) == expected


@given(st.integers(0, 400 * 86400))
def test_times_come_back(number: int) -> None:
    assert seconds(duration_text(number)) == number


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("", []),
        ("n1", ["n1"]),
        ("n[1-3,7]", ["n1", "n2", "n3", "n7"]),
        ("n[08-11]", ["n08", "n09", "n10", "n11"]),
        ("a,b[1-2],c-3", ["a", "b1", "b2", "c-3"]),
        ("rack[1-2]n[1-2]-ib", ["rack1n1-ib", "rack1n2-ib", "rack2n1-ib", "rack2n2-ib"]),
    ],
)
def test_hostlists_are_written_out(text: str, names: list[str]) -> None:
    assert node_names(text) == names
    assert node_count(text) == len(names)


@given(st.sets(st.integers(0, 4000), min_size=1))
def test_tasks_are_written_as_one_name_and_read_again(indices: set[int]) -> None:
    names = {f"12_{index}" for index in indices}
    [one] = notation.grouped_tasks(names)
    assert set(notation.task_names(one)) == names


def test_jobs_and_tasks_are_grouped_each_once() -> None:
    assert list(notation.grouped_tasks(["7", "12_10", "100", "12_2", "7", "12_10"])) == ["7", "12_[2,10]", "100"]


@pytest.mark.parametrize(
    ("size", "megabytes"), [("800", 800), ("800M", 800), ("16G", 16384), ("512K", 0.5), ("1T", 2**20)]
)
def test_sizes_are_read_as_sbatch_reads_them(size: str, megabytes: float) -> None:
    assert notation.megabytes(size) == megabytes


@pytest.mark.parametrize(
    ("limit", "early"), [(None, 90), (60.0, 6), (120.0, 12), (600.0, 60), (3600.0, 90), (30.0, 5), (86400.0, 90)]
)
def test_the_warning_of_a_time_limit_leaves_time_to_train(limit: float | None, early: int) -> None:
    assert warning_seconds(limit) == early


def test_sizes_keep_a_unit_that_is_exact() -> None:
    assert [doubled_memory(size, None) for size in ("512M", "1T", "3K")] == ["1G", "2T", "6K"]
