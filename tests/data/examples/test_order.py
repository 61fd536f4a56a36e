"""The order of examples is a pure function, and part of what a run is."""

from __future__ import annotations

import tracemalloc
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from passingloop.data.examples.order import BatchOrder, Share
from passingloop.data.examples.tokens import Tokens
from passingloop.data.prepare.fill import Recipe
from passingloop.data.prepare.pipeline import prepare_source
from passingloop.data.source import open_source
from passingloop.data.stdlib.settings import StdlibData
from tests.conftest import composed
from tests.train.tiny import ALONE, layout

pytestmark = pytest.mark.process


@st.composite
def orders(draw: st.DrawFn) -> BatchOrder:
    count = draw(st.integers(1, 300))
    random = np.random.default_rng(draw(st.integers(0, 99)))
    longest = draw(st.sampled_from([1, 2, 50, 1024]))
    lengths = random.integers(1, longest + 1, count).astype(np.int32)
    seed = draw(st.integers(0, 2**32 - 1))
    if draw(st.booleans()):
        return BatchOrder(lengths, seed, batch_size=draw(st.integers(1, count + 3)))
    return BatchOrder(lengths, seed, batch_tokens=draw(st.integers(2, int(lengths.sum()) + 3)))


def epoch_of(order: BatchOrder, epoch: int) -> list[np.ndarray]:
    first = epoch * order.steps_per_epoch
    return [order.step(k) for k in range(first, first + order.steps_per_epoch)]


@settings(max_examples=150, deadline=None)
@given(orders(), st.integers(0, 3), st.integers(1, 7))
def test_every_example_exactly_once_an_epoch_on_any_number_of_processes(
    order: BatchOrder, epoch: int, size: int
) -> None:
    dealt = [share for step in epoch_of(order, epoch) for share in (step[rank::size] for rank in range(size))]
    assert np.array_equal(np.sort(np.concatenate(dealt)), np.arange(len(order.lengths)))


@settings(max_examples=150, deadline=None)
@given(orders(), st.integers(0, 3))
def test_steps_are_full_even_and_sorted(order: BatchOrder, epoch: int) -> None:
    sizes = [len(step) for step in epoch_of(order, epoch)]
    assert min(sizes) >= 1
    if order.batch_size is not None:
        assert max(sizes) <= order.batch_size
        assert max(sizes) - min(sizes) <= 1
    for step in epoch_of(order, epoch):
        assert (np.diff(order.lengths[step]) >= 0).all()


@settings(max_examples=100, deadline=None)
@given(orders(), st.data())
def test_random_access_equals_sequential_access(order: BatchOrder, data: st.DataObject) -> None:
    sequential = [step.tolist() for epoch in (0, 1) for step in epoch_of(order, epoch)]
    other = BatchOrder(order.lengths, order.seed, order.batch_size, order.batch_tokens)
    for k in data.draw(st.permutations(range(len(sequential))))[:20]:
        assert other.step(k).tolist() == sequential[k]


def test_other_seed_or_epoch_other_order() -> None:
    lengths = np.full(500, 7, np.int32)
    one, other = BatchOrder(lengths, 1, batch_size=10), BatchOrder(lengths, 2, batch_size=10)
    assert one.step(0).tolist() != other.step(0).tolist()
    assert one.step(0).tolist() != one.step(one.steps_per_epoch).tolist()
    assert {tuple(sorted(step)) for step in epoch_of(one, 0)} != {tuple(sorted(step)) for step in epoch_of(one, 1)}


def test_lengths_are_mixed_over_the_epoch() -> None:
    """Steps of short and of long examples alternate: their order is a permutation of its own."""
    order = BatchOrder(np.arange(1, 641, dtype=np.int32), 1, batch_size=20)
    means = [order.lengths[step].mean() for step in epoch_of(order, 0)]
    ranks = np.argsort(np.argsort(means))
    assert abs(np.corrcoef(ranks, np.arange(len(ranks)))[0, 1]) < 0.4


@pytest.mark.parametrize(
    ("size", "k", "expected"),
    [
        ({"batch_size": 5}, 0, [192, 92, 165, 365, 38]),
        ({"batch_size": 5}, 7, [197, 297, 70, 270, 43]),
        ({"batch_size": 5}, 80, [202, 375, 175, 275, 348]),
        ({"batch_tokens": 300}, 0, [153, 37, 348, 340]),
        ({"batch_tokens": 300}, 67, [105, 305, 78, 278]),
    ],
)
def test_the_order_itself(size: dict[str, int], k: int, expected: list[int]) -> None:
    """The order is part of a run's identity: runs that were begun must continue in it. Never change these numbers."""
    order = BatchOrder((np.arange(400) * 37 % 100 + 1).astype(np.int32), 7, **size)
    assert order.step(k).tolist() == expected


def test_tokens_per_step_are_about_what_was_asked_for() -> None:
    lengths = np.random.default_rng(0).integers(1, 257, 20_000).astype(np.int32)
    order = BatchOrder(lengths, 1, batch_tokens=4096)
    tokens = [int(lengths[step].sum()) for step in epoch_of(order, 0)]
    assert min(tokens) > 0.9 * 4096 and max(tokens) < 1.15 * 4096


@pytest.fixture(scope="module")
def docstrings(tmp_path_factory: pytest.TempPathFactory, bert_tokenizer: Any) -> Tokens:
    """Thousands of real texts that are wherever Python is."""
    folder = tmp_path_factory.mktemp("docstrings")
    words = ("data.test_fraction=0", "data.validation_fraction=0", f"cache_root={folder}")
    config = composed(folder, "data=stdlib_docs", *words)
    assert isinstance(config.data, StdlibData)
    recipe = Recipe(task=config.task, config=config.data, tokenizer=bert_tokenizer, max_length=256)
    source = open_source(config.data, config.task, config.cache_root)
    return prepare_source(recipe, source, config.cache_root, lambda _: None)[0].parts["train"]


@pytest.mark.parametrize(("size", "most"), [({"batch_size": 32}, 0.15), ({"batch_tokens": 512}, 0.05)])
def test_little_padding_on_real_texts(docstrings: Tokens, size: dict[str, int], most: float) -> None:
    order = BatchOrder(docstrings.lengths, 1, **size)
    laid_out = layout(docstrings, "classification", batch_tokens=16_384)
    batches = (batch for step in epoch_of(order, 0) for batch in laid_out.batches(step, ALONE))
    padded = sum(batch["inputs"]["input_ids"].numel() for batch in batches)
    assert padded / int(docstrings.lengths.sum()) - 1 < most


def test_ten_million_examples_fit_into_memory() -> None:
    lengths = np.random.default_rng(0).integers(1, 512, 10_000_000, np.int32)
    order = BatchOrder(lengths, 1, batch_size=32)
    tracemalloc.start()
    try:
        for k in (0, 1, order.steps_per_epoch):
            assert len(order.step(k)) in (31, 32)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 400e6


# Several sources


@st.composite
def shared_orders(draw: st.DrawFn) -> BatchOrder:
    shares = draw(
        st.lists(
            st.builds(Share, st.integers(1, 60), st.sampled_from([0.01, 0.3, 1.0, 1.5, 4.0])), min_size=1, max_size=4
        )
    )
    lengths = np.random.default_rng(0).integers(1, 50, sum(share.examples for share in shares)).astype(np.int32)
    size = draw(st.sampled_from([{"batch_size": 7}, {"batch_tokens": 90}]))
    return BatchOrder(lengths, draw(st.integers(0, 99)), shares=shares, **size)


@settings(max_examples=150, deadline=None)
@given(shared_orders(), st.integers(1, 6))
def test_each_source_gets_its_share_and_no_example_is_ahead_of_the_others(order: BatchOrder, epochs: int) -> None:
    taken = np.zeros(len(order.lengths), int)
    for epoch in range(epochs):
        for step in epoch_of(order, epoch):
            np.add.at(taken, step, 1)
    first = 0
    for share in order.shares:
        mine = taken[first : first + share.examples]
        assert mine.sum() == epochs * max(1, round(share.examples * share.weight))
        assert mine.max() - mine.min() <= 1
        first += share.examples


def test_sources_are_mixed_in_every_part_of_an_epoch() -> None:
    order = BatchOrder(np.full(4000, 9, np.int32), 1, batch_size=100, shares=[Share(1000, 2.0), Share(3000)])
    counts = [int((step < 1000).sum()) for step in epoch_of(order, 1)]
    assert len(counts) == 50 and min(counts) > 20 and max(counts) < 65  # 40 on average


def test_the_order_of_a_mix_itself() -> None:
    """Never change these numbers: see `test_the_order_itself`."""
    order = BatchOrder(np.arange(1, 31, dtype=np.int32), 7, batch_size=5, shares=[Share(10, 1.5), Share(20, 0.4)])
    assert [order.step(k).tolist() for k in (0, 4, 5)] == [[17, 24, 25, 26, 29], [0, 1, 1, 2], [5, 6, 7, 7]]
