"""Permutations that are computed place by place are permutations, even, and the same for ever."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from passingloop.data.examples.permutation import key_of, permute

KEYS = st.integers(0, 2**64 - 1)


@settings(max_examples=200, deadline=None)
@given(st.integers(1, 5000), KEYS)
def test_every_number_comes_up_once(count: int, key: int) -> None:
    assert np.array_equal(np.sort(permute(np.arange(count), count, key)), np.arange(count))


@settings(max_examples=100, deadline=None)
@given(st.integers(1, 10**12), KEYS, st.data())
def test_a_place_leads_to_the_same_number_whatever_else_is_asked_for(count: int, key: int, data: st.DataObject) -> None:
    places = np.array(data.draw(st.lists(st.integers(0, count - 1), min_size=1, max_size=9)))
    together = permute(places, count, key)
    assert [int(permute(np.array([place]), count, key)[0]) for place in places] == together.tolist()
    assert (together >= 0).all() and (together < count).all()


@pytest.mark.parametrize("count", [2, 3, 5, 10, 16, 64])
def test_every_place_leads_everywhere_equally_often(count: int) -> None:
    """Pearson's statistic over 2,000 keys; its mean is the degrees of freedom, its variance twice that."""
    keys, found = 2000, np.zeros((count, count))
    for number in range(keys):
        found[np.arange(count), permute(np.arange(count), count, key_of(number))] += 1
    expected, freedom = keys / count, (count - 1) ** 2
    statistic = ((found - expected) ** 2 / expected).sum()
    assert abs(statistic - freedom) < 6 * (2 * freedom) ** 0.5


def test_the_numbers_themselves() -> None:
    """They are part of the order of every run: never change them."""
    assert [key_of(), key_of(0), key_of(1, 2, 3)] == [0, 16294208416658607535, 17281550289527850393]
    assert permute(np.arange(10), 10, 7).tolist() == [2, 6, 0, 1, 3, 7, 9, 4, 5, 8]
    assert permute(np.array([0, 1, 10**9]), 10**10, 7).tolist() == [2678618634, 6266376063, 897153823]
