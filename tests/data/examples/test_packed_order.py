"""The rows of an epoch are planned once, and the plan is a pure function."""

from __future__ import annotations

import tracemalloc
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from passingloop.data.examples import packed_order
from passingloop.data.examples.order import Share
from passingloop.data.examples.packed_order import PackedOrder
from passingloop.data.examples.packed_rows import rows_of_step
from tests.data.examples.test_packed_rows import texts

ROW = 128


@st.composite
def orders(draw: st.DrawFn) -> PackedOrder:
    counts = draw(st.lists(st.integers(1, 60), min_size=1, max_size=3))
    weights = draw(st.lists(st.sampled_from([0.3, 1.0, 1.5]), min_size=len(counts), max_size=len(counts)))
    shares = [Share(*share) for share in zip(counts, weights, strict=True)] if len(counts) > 1 else []
    lengths = np.random.default_rng(draw(st.integers(0, 99))).integers(1, ROW + 1, sum(counts)).astype(np.int32)
    size: dict[str, Any] = draw(
        st.one_of(
            st.builds(lambda n: {"batch_size": n}, st.integers(1, 70)),
            st.builds(lambda n: {"batch_tokens": n}, st.integers(2, 2000)),
        )
    )
    return PackedOrder(lengths, draw(st.integers(0, 99)), shares=shares, row_tokens=ROW, **size)


def epoch_of(order: PackedOrder, epoch: int) -> list[np.ndarray]:
    first = epoch * order.steps_per_epoch
    return [order.step(k) for k in range(first, first + order.steps_per_epoch)]


@settings(max_examples=50, deadline=None)
@given(orders())
def test_each_source_gets_its_share_and_no_example_is_ahead_of_the_others(order: PackedOrder) -> None:
    taken = np.zeros(len(order.lengths), int)
    for epoch in range(3):
        for step in epoch_of(order, epoch):
            assert len(step)
            np.add.at(taken, step, 1)
    first = 0
    for share in order.shares or [Share(len(order.lengths))]:
        mine = taken[first : first + share.examples]
        assert mine.sum() == 3 * share.examples_per_epoch
        assert mine.max() - mine.min() <= 1
        first += share.examples


@settings(max_examples=40, deadline=None)
@given(orders(), st.data())
def test_random_access_equals_sequential_access(order: PackedOrder, data: st.DataObject) -> None:
    sequential = [step.tolist() for epoch in (0, 1) for step in epoch_of(order, epoch)]
    other = PackedOrder(
        order.lengths, order.seed, order.batch_size, order.batch_tokens, order.shares, row_tokens=order.row_tokens
    )
    for k in data.draw(st.permutations(range(len(sequential))))[:20]:
        assert other.step(k).tolist() == sequential[k]


def test_the_steps_of_an_epoch_are_full_rows() -> None:
    lengths = texts(6_000, 1024)
    order = PackedOrder(lengths, 1, batch_tokens=8 * 1024, row_tokens=1024)
    rows = [len(rows_of_step(lengths[step], 1024)) for step in epoch_of(order, 0)]
    assert max(rows) == 8 and min(rows) >= 7
    assert lengths.sum() / (sum(rows) * 1024) > 0.98


def test_parts_of_a_large_epoch_are_as_full(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packed_order, "EXAMPLES_PER_PART", 1_500)
    lengths = texts(6_000, 1024)
    order = PackedOrder(lengths, 1, batch_tokens=8 * 1024, row_tokens=1024)
    steps = epoch_of(order, 1)
    assert np.array_equal(np.sort(np.concatenate(steps)), np.arange(6_000))
    assert lengths.sum() / (sum(len(rows_of_step(lengths[step], 1024)) for step in steps) * 1024) > 0.98


@pytest.mark.parametrize(("batch_tokens", "capacity"), [(4096, 1024), (1500, 736), (500, 496), (100, 304)])
def test_rows_of_the_plan_divide_a_step(batch_tokens: int, capacity: int) -> None:
    order = PackedOrder(np.full(1000, 300, np.int32), 1, batch_tokens=batch_tokens, row_tokens=1024)
    assert order.capacity == capacity


def test_steps_of_so_many_examples_have_as_many_tokens() -> None:
    lengths = texts(6_400, 1024)
    order = PackedOrder(lengths, 1, batch_size=32, row_tokens=1024)
    steps = epoch_of(order, 0)
    tokens = np.array([int(lengths[step].sum()) for step in steps])
    assert {len(step) for step in steps} == {32}
    assert tokens.max() < 1.15 * tokens.mean() and tokens.min() > 0.85 * tokens.mean()


def test_other_seed_or_epoch_other_rows() -> None:
    one, other = (PackedOrder(texts(500, ROW), seed, batch_tokens=512, row_tokens=ROW) for seed in (1, 2))
    assert one.step(0).tolist() != other.step(0).tolist()
    assert {tuple(sorted(step)) for step in epoch_of(one, 0)} != {tuple(sorted(step)) for step in epoch_of(one, 1)}


def test_the_order_itself() -> None:
    """The order is part of a run's identity: runs that were begun must continue in it. Never change these numbers."""
    lengths = (np.arange(400) * 37 % 100 + 1).astype(np.int32)
    by_tokens = PackedOrder(lengths, 7, batch_tokens=256, row_tokens=128)
    by_size = PackedOrder(lengths, 7, batch_size=5, row_tokens=128)
    shares = [Share(100, 1.5), Share(300, 0.4)]
    mixed = PackedOrder(lengths, 7, batch_tokens=256, shares=shares, row_tokens=128)
    assert [by_tokens.step(k).tolist() for k in (0, 90)] == [
        [252, 352, 152, 52, 379, 219, 98, 398, 198, 298, 387],
        [345, 353, 354, 144],
    ]
    assert [by_size.step(k).tolist() for k in (0, 81)] == [[27, 42, 96, 268, 76], [378, 175, 258, 155, 211]]
    assert [mixed.step(k).tolist() for k in (0, 50)] == [[264, 161], [218, 7]]


def test_ten_million_examples_fit_into_memory() -> None:
    lengths = np.random.default_rng(0).integers(1, 512, 10_000_000, np.int32)
    order = PackedOrder(lengths, 1, batch_tokens=65_536, row_tokens=1024)
    tracemalloc.start()
    try:
        for k in (0, 1, order.steps_per_epoch - 1):
            assert 60_000 < int(lengths[order.step(k)].sum()) <= 65_536
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 200e6
