"""What is said about Slurm's estimates."""

from __future__ import annotations

import pytest

from passingloop.submit.accuracy import Accuracy


@pytest.mark.parametrize(
    ("errors", "median", "ninetieth"),
    [
        ([7.0], 7, 7),
        ([5.0, 1.0, 3.0], 3, 5),
        ([float(n) for n in range(1, 11)], 5, 9),
        ([float(n) for n in range(-10, 10)], -1, 7),
    ],
)
def test_median_and_90th_percentile(errors: list[float], median: float, ninetieth: float) -> None:
    assert Accuracy.of(errors) == Accuracy(len(errors), median, ninetieth)


def test_a_few_starts_say_nothing() -> None:
    for count in range(5):
        assert "is not known yet" in Accuracy.of([60.0] * count).sentence
        assert f"a record of {count}." in Accuracy.of([60.0] * count).sentence
    assert Accuracy.of([-60.0, -60.0, -60.0, 0.0, 3600.0]).sentence == (
        "Of your last 5 jobs here, half started 0:01:00 earlier than Slurm had estimated, or before that; nine of ten "
        "1:00:00 later, or before that."
    )
