"""What is told of a part: its labels, its lengths, and a few examples."""

from __future__ import annotations

from tests.data.conftest import Check
from tests.data.made import csv


def test_labels_lengths_and_samples(check: Check) -> None:
    rows = [("word " * (number % 20 + 1), "ab"[number % 4 == 0]) for number in range(200)]
    prepared = check.prepared("a.csv", csv(*rows))  # type: ignore[attr-defined]
    found, bins = prepared.meta["parts"]["train"], prepared.meta["bins"]
    assert found["labels"] == {"a": 150, "b": 50}
    lengths = found["lengths"]
    # [CLS] and [SEP] come to 1 to 20 words.
    assert [lengths[f"p{p}"] for p in (0, 5, 25, 50, 75, 95, 99, 100)] == [3, 3, 7, 12, 17, 21, 22, 22]
    assert found["too_long"] == 60  # more than 14 words
    assert 16 in bins and sum(lengths["histogram"]) == 200
    assert sum(n for end, n in zip(bins, lengths["histogram"], strict=True) if end > 16) == 60
    assert found["samples"] == [0, 99, 199]
