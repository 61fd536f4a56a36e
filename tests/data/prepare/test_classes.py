"""Labels are numbered in an order that does not depend on the rows, and wrong ones are named."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from passingloop.errors import DataError
from tests.data.prepare.conftest import Preparing, Rows, rows


def test_labels_are_numbered_in_order(preparing: Preparing) -> None:
    prepared = preparing([("a", "pear"), ("b", "apple"), ("c", "fig")], validation_fraction=0, test_fraction=0)
    assert prepared.label_names == ["apple", "fig", "pear"]
    labels = prepared.parts["train"].labels
    assert labels is not None and labels.tolist() == [2, 0, 1]
    assert labels.dtype == np.int32


def test_whole_numbers_are_ordered_by_value(preparing: Preparing) -> None:
    examples = [(f"text {label}", label) for label in ("10", "9", "-1", "100")]
    prepared = preparing(examples, validation_fraction=0, test_fraction=0)
    assert prepared.label_names == ["-1", "9", "10", "100"]


def test_the_order_of_rows_does_not_number_the_labels(preparing: Preparing) -> None:
    examples = [("a", "07"), ("b", "7"), ("c", "8")]
    for order in (examples, examples[::-1]):
        assert preparing(order, validation_fraction=0, test_fraction=0).label_names == ["07", "7", "8"]


def test_parts_share_the_numbers(preparing: Preparing) -> None:
    prepared = preparing(rows(60, classes=3), validation=[("x", "label 2")], test=[("y", "label 0"), ("z", "label 1")])
    numbers = {part: tokens.labels.tolist() for part, tokens in prepared.parts.items() if tokens.labels is not None}
    assert (numbers["validation"], numbers["test"]) == ([2], [0, 1])


@pytest.mark.parametrize(
    ("train", "chosen", "message"),
    [
        (
            rows(20),
            {"test": [("x", "labe 1"), ("y", "label 0")]},
            "The test data have 'labe 1' as label, which the training data have not ('labe 1': 1 rows). Did you mean "
            "label 1? Correct the labels, or take these rows out of data.test.",
        ),
        (
            rows(20),
            {"validation": [(str(i), f"{i:02}") for i in range(9)]},
            "have '00', '01', '02', '03', '04' and 4 more as label",
        ),
        (rows(20, classes=1), {}, "have a single class, 'label 0'. A classifier needs two classes"),
    ],
)
def test_wrong_classes_are_named(preparing: Preparing, train: Rows, chosen: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError) as error:
        preparing(train, **chosen)
    assert message in str(error.value)
