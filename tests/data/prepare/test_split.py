"""Which examples are split off: by the hash of their text, so that equal texts stay together."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from passingloop.data.prepare.split import LowestHashes
from tests.data.conftest import Check
from tests.data.made import csv
from tests.data.prepare.conftest import Preparing, rows


def test_what_is_split_off_never_leaks(check: Check) -> None:
    rows = [(f"Text {i % 100}".upper() if i % 3 else f"text  {i % 100} ", "ab"[i % 2]) for i in range(1000)]
    found = check("a.csv", csv(*rows), validation_fraction=0.3, test_fraction=0.3)
    assert [found[part]["leaked_from_train"] for part in found] == [0, 0, 0]
    assert sum(found[part]["used"] for part in found) == 1000
    assert found["test"]["read"] is None
    assert sum(found[part]["duplicate"] for part in found) == 900


@settings(max_examples=60, deadline=None)
@given(hashes=st.lists(st.integers(0, 9), max_size=60), count=st.integers(1, 9), size=st.integers(1, 20))
def test_the_lowest_hashes_are_found_piece_by_piece(hashes: list[int], count: int, size: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("passingloop.data.prepare.split.MAX_EXCESS", 5)
        lowest = LowestHashes(count)
        for start in range(0, len(hashes), size):
            piece = np.array(hashes[start : start + size], np.uint64)
            lowest.add(piece, np.arange(start, start + len(piece)))
    mixed = [hash_ * 0x9E3779B97F4A7C15 % 2**64 for hash_ in hashes]
    assert lowest.rows().tolist() == sorted(sorted(range(len(hashes)), key=lambda row: (mixed[row], row))[:count])


def test_fractions_are_about_right(preparing: Preparing) -> None:
    prepared = preparing(rows(4000), validation_fraction=0.2, test_fraction=0.1)
    sizes = {part: len(tokens) for part, tokens in prepared.parts.items()}
    assert sum(sizes.values()) == 4000
    assert abs(sizes["validation"] - 800) < 100 and abs(sizes["test"] - 400) < 75


def test_the_split_does_not_depend_on_the_order_of_rows(preparing: Preparing) -> None:
    forward, backward = preparing(rows(300)), preparing(rows(300)[::-1])
    assert not backward.reused
    for part in ("train", "validation", "test"):
        assert sorted(preparing.texts(forward, part)) == sorted(preparing.texts(backward, part))


def test_equal_texts_stand_in_one_part(preparing: Preparing) -> None:
    prepared = preparing(rows(200) * 3, validation_fraction=0.3, test_fraction=0.3)
    found = {part: set(preparing.texts(prepared, part)) for part in prepared.parts}
    assert sum(map(len, found.values())) == 200
    assert sum(map(len, prepared.parts.values())) == 600


def test_given_parts_stay_as_they_are(preparing: Preparing) -> None:
    prepared = preparing(rows(100), validation=rows(7), test=rows(5))
    assert {part: len(tokens) for part, tokens in prepared.parts.items()} == {"train": 100, "validation": 7, "test": 5}
    assert preparing.texts(prepared, "validation") == [text for text, _ in rows(7)]


def test_only_what_is_missing_is_split_off(preparing: Preparing) -> None:
    prepared = preparing(rows(400), test=rows(5), validation_fraction=0.5)
    assert len(prepared.parts["test"]) == 5
    assert len(prepared.parts["train"]) + len(prepared.parts["validation"]) == 400


def test_no_fraction_no_part(preparing: Preparing) -> None:
    prepared = preparing(rows(20), validation_fraction=0, test_fraction=0)
    assert list(prepared.parts) == ["train"]


def test_limit_caps_every_part_and_takes_a_stable_choice(preparing: Preparing) -> None:
    few = preparing(rows(500), limit=20, test=rows(100))
    assert {part: len(tokens) for part, tokens in few.parts.items()} == {"train": 20, "validation": 20, "test": 20}
    more = preparing(rows(500), limit=40, test=rows(100))
    backward = preparing(rows(500)[::-1], limit=20, test=rows(100))
    whole = preparing(rows(500), test=rows(100))
    for part in few.parts:
        chosen = set(preparing.texts(few, part))
        assert chosen < set(preparing.texts(more, part)) < set(preparing.texts(whole, part))
        assert chosen == set(preparing.texts(backward, part))


def test_a_limit_above_the_number_of_examples_takes_all(preparing: Preparing) -> None:
    assert sum(map(len, preparing(rows(50), limit=1000).parts.values())) == 50
