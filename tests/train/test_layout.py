"""However a step is laid out and shared, the same examples make the same loss."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from passingloop.data.examples.tokens import Tokens
from passingloop.handoff import World
from passingloop.model.encoders.geometry import filled_length
from passingloop.tasks.task import IGNORED
from passingloop.train.layout import Layout
from passingloop.train.module import FineTuner
from tests.train.tiny import ALONE, fine_tuner, layout, make_model, optim, random_ids, write_tokens

LENGTHS = [2, 3, 3, 4, 7, 7, 8, 12, 15, 16]
EVERY = np.arange(len(LENGTHS))
WEIGHTS = torch.tensor([0.5, 1.0, 3.0])


@pytest.fixture(scope="session")
def make_tokens(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Tokens]:
    def make(lengths: list[int], **columns: Any) -> Tokens:
        return write_tokens(tmp_path_factory.mktemp("tokens") / "train", random_ids(lengths), **columns)

    return make


@pytest.fixture(scope="session")
def texts(make_tokens: Callable[..., Tokens]) -> Tokens:
    return make_tokens(LENGTHS)


@pytest.fixture(scope="session")
def labelled(make_tokens: Callable[..., Tokens]) -> Tokens:
    return make_tokens(LENGTHS, labels=[i % 3 for i in range(len(LENGTHS))])


def step_loss(module: FineTuner, laid_out: Layout, examples: np.ndarray, size: int) -> float:
    """What DDP makes of a step: summed over micro-batches, averaged over processes."""
    total = 0.0
    for rank in range(size):
        for batch in laid_out.step(examples, World(rank, size, rank, size)):
            total += float(module.training_step(batch).detach().double()) / size
    return total


# The loss


@pytest.mark.parametrize("size", [1, 2, 3, 7])
@pytest.mark.parametrize("batch_tokens", [1, 20, 64, 10**6])
@pytest.mark.parametrize("kind", ["plain", "weighted", "packed", "padded"])
def test_the_loss_does_not_depend_on_the_division(
    kind: str, batch_tokens: int, size: int, texts: Tokens, labelled: Tokens
) -> None:
    causal = kind in ("packed", "padded")
    weights = WEIGHTS if kind == "weighted" else None
    model = make_model("llama") if causal else make_model("bert", "classification", num_labels=3)
    task = "causal_lm" if causal else "classification"
    module = fine_tuner(model.double(), task, optim(), statistics=weights).eval()
    tokens = texts if causal else labelled
    row_tokens = 16 if kind == "packed" else None
    divided = layout(tokens, task, batch_tokens=batch_tokens, row_tokens=row_tokens, statistics=weights)
    (whole,) = layout(tokens, task, statistics=weights).step(EVERY, ALONE)
    whole_loss = float(module.training_step(whole).detach())
    assert step_loss(module, divided, EVERY, size) == pytest.approx(whole_loss, rel=1e-6)
    filled_up = dataclasses.replace(divided, even=True)
    assert step_loss(module, filled_up, EVERY, size) == pytest.approx(whole_loss, rel=1e-6)


def test_a_process_without_a_share_adds_nothing(labelled: Tokens) -> None:
    module = fine_tuner(make_model("bert", "classification", num_labels=3), "classification", optim())
    (batch,) = layout(labelled, "classification").step(EVERY[:2], World(2, 3, 2, 3))
    loss = module.training_step(batch)
    loss.backward()
    assert float(loss.detach()) == 0
    assert all(p.grad is not None and not p.grad.any() for p in module.parameters() if p.requires_grad)


@pytest.mark.parametrize("size", [1, 2, 3, 12])
@pytest.mark.parametrize("row_tokens", [None, 16])
def test_evenly_shared_all_processes_have_as_many_micro_batches(
    row_tokens: int | None, size: int, texts: Tokens
) -> None:
    laid_out = layout(texts, "causal_lm", batch_tokens=16, row_tokens=row_tokens, even=True)
    for part in (EVERY, EVERY[:1], EVERY[3:]):
        for shared in (laid_out.step, laid_out.batches):
            processes = [list(shared(part, World(rank, size, rank, size))) for rank in range(size)]
            assert len({len(batches) for batches in processes}) == 1
            counted = sum(int((batch["labels"] != IGNORED).sum()) for batches in processes for batch in batches)
            assert counted == texts.targets[part].sum()


def test_what_fills_up_is_the_shortest_example(texts: Tokens) -> None:
    laid_out = layout(texts, "causal_lm", batch_tokens=8, even=True)
    long_first = EVERY[::-1]
    *_, last = laid_out.batches(long_first, World(3, 4, 3, 4))
    assert last["inputs"]["input_ids"].tolist() == [texts.ids(0).tolist()] and (last["labels"] == IGNORED).all()


def test_the_normaliser_counts_answers_only(tmp_path: Path) -> None:
    tokens = write_tokens(tmp_path / "t", random_ids([4, 5]), answers=[[0, 1, 1, 0], [1, 0, 0, 1, 1]])
    laid_out = layout(tokens, "causal_lm")
    (batch,) = laid_out.step(np.array([0, 1]), ALONE)
    assert batch["normalizer"] == 4  # the first token is never predicted
    first, second = tokens.ids(0), tokens.ids(1)
    assert batch["labels"].tolist() == [
        [first[1], first[2], IGNORED, IGNORED, IGNORED],
        [IGNORED, IGNORED, second[3], second[4], IGNORED],
    ]
    assert laid_out.step(np.array([0, 1]), World(0, 2, 0, 2))[0]["normalizer"] == 2


def test_the_normaliser_of_weighted_classes_is_their_weight(labelled: Tokens) -> None:
    (batch,) = layout(labelled, "classification", statistics=WEIGHTS).step(np.array([0, 1, 2, 3]), ALONE)
    assert batch["normalizer"] == pytest.approx(0.5 + 1 + 3 + 0.5)


# Rows


def test_padding(labelled: Tokens) -> None:
    (batch,) = layout(labelled, "classification").step(np.array([0, 4]), ALONE)
    assert batch["inputs"]["input_ids"].tolist() == [
        [*labelled.ids(0).tolist(), 0, 0, 0, 0, 0],
        labelled.ids(4).tolist(),
    ]
    assert batch["inputs"]["attention_mask"].tolist() == [[1, 1, 0, 0, 0, 0, 0], [1] * 7]
    assert batch["labels"].tolist() == [0, 1]


def test_no_mask_where_nothing_is_padded(labelled: Tokens) -> None:
    (batch,) = layout(labelled, "classification").step(np.array([4, 5]), ALONE)
    assert set(batch["inputs"]) == {"input_ids"}


def test_packing(texts: Tokens) -> None:
    (batch,) = layout(texts, "causal_lm", row_tokens=12).step(np.array([0, 1, 4]), ALONE)
    assert batch["inputs"]["input_ids"].tolist() == [[*texts.ids(0), *texts.ids(1), *texts.ids(4)]]
    assert batch["inputs"]["position_ids"].tolist() == [[*range(2), *range(3), *range(7)]]
    ends = [1, 4, 11]
    assert [place for place, label in enumerate(batch["labels"][0].tolist()) if label == IGNORED] == ends
    assert "attention_mask" not in batch["inputs"]


def test_what_fills_a_packed_row_is_a_sequence_of_its_own(texts: Tokens) -> None:
    (batch,) = layout(texts, "causal_lm", row_tokens=16, multiple=8).step(np.array([1, 4]), ALONE)
    assert batch["inputs"]["position_ids"].tolist() == [[*range(3), *range(7), *range(6)]]
    assert batch["inputs"]["input_ids"][0, 10:].tolist() == [0] * 6
    assert batch["labels"][0, 9:].tolist() == [IGNORED] * 7


@settings(max_examples=100, deadline=None)
@given(
    lengths=st.lists(st.integers(1, 32), min_size=1, max_size=60),
    row_tokens=st.one_of(st.none(), st.integers(32, 90)),
    batch_tokens=st.integers(1, 300),
    batch_examples=st.one_of(st.none(), st.integers(1, 9)),
    multiple=st.sampled_from([1, 8]),
)
def test_every_example_in_one_row_and_no_row_or_batch_too_large(
    make_tokens: Callable[..., Tokens],
    lengths: list[int],
    row_tokens: int | None,
    batch_tokens: int,
    batch_examples: int | None,
    multiple: int,
) -> None:
    laid_out = layout(
        make_tokens(lengths),
        "causal_lm",
        row_tokens=row_tokens,
        batch_tokens=batch_tokens,
        batch_examples=batch_examples,
        multiple=multiple,
    )
    batches = list(laid_out.micro_batches(np.arange(len(lengths))))
    members = [example for rows in batches for row in rows for example in row]
    assert sorted(members) == list(range(len(lengths)))
    for rows in batches:
        inputs = laid_out.batch(rows, 1.0)["inputs"]["input_ids"]
        assert inputs.shape[1] % multiple == 0
        assert len(rows) == 1 or inputs.numel() <= batch_tokens
        assert len(rows) == 1 or sum(map(len, rows)) <= (batch_examples or 10**9)
        for row in rows:
            assert len(row) == 1 or sum(lengths[example] for example in row) <= (row_tokens or 0)


def test_packing_leaves_little_room(make_tokens: Callable[..., Tokens]) -> None:
    lengths = np.random.default_rng(0).integers(2, 300, 1000).tolist()
    rows = [
        row
        for rows in layout(make_tokens(lengths), "causal_lm", row_tokens=512).micro_batches(np.arange(1000))
        for row in rows
    ]
    assert sum(lengths) / (512 * len(rows)) > 0.98


def test_a_large_part_is_packed_quickly(make_tokens: Callable[..., Tokens]) -> None:
    """Trying every row for every example would take minutes."""
    lengths = np.random.default_rng(0).integers(250, 520, 30_000).tolist()
    laid_out = layout(make_tokens(lengths), "causal_lm", row_tokens=1024)
    assert sum(map(len, laid_out.micro_batches(np.arange(30_000)))) < 15_001


def test_a_model_that_computes_flat_has_few_places_without_a_token(texts: Tokens) -> None:
    flat, padded = layout(texts, "causal_lm", flat=True), layout(texts, "causal_lm")
    assert flat.filling(flat.step(EVERY, ALONE)) == (sum(LENGTHS), filled_length(sum(LENGTHS)))
    assert padded.filling(padded.step(EVERY, ALONE)) == (sum(LENGTHS), len(LENGTHS) * max(LENGTHS))


@pytest.mark.parametrize("size", [1, 2, 3])
@pytest.mark.parametrize("chosen", [{}, {"batch_tokens": 20}, {"row_tokens": 16}, {"multiple": 8}, {"even": True}])
def test_the_tokens_and_the_places_in_the_rows_of_a_process(texts: Tokens, size: int, chosen: dict[str, Any]) -> None:
    """Rows of other processes do not count, nor does a batch that only keeps the others company."""
    laid_out = layout(texts, "causal_lm", **chosen)
    filled = 0
    for rank in range(size):
        world = World(rank, size, rank, size)
        batches = laid_out.step(EVERY, world)
        found, places = laid_out.filling(batches)
        held = [batch for batch in batches if len(batch["examples"])]
        own = np.concatenate([np.asarray(batch["examples"]) for batch in held])
        assert found == texts.lengths[own].sum()
        assert places == sum(int(np.prod(batch["inputs"]["input_ids"].shape)) for batch in batches) >= found
        filled += found
    assert filled == sum(LENGTHS)
