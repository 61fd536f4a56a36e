"""An embedding whose rows are updated as they occur has the bits of one that is updated whole in every step."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from passingloop.train.optim import embedding_rows
from passingloop.train.optim.optimizer import FusedAdamW, make_optimizer
from tests.train.tiny import optim

ROWS, WIDTH = 60, 48


def embedding(width: int = WIDTH) -> torch.nn.Embedding:
    torch.manual_seed(0)
    return torch.nn.Embedding(ROWS, width, padding_idx=0)


def optimizer_of(module: torch.nn.Embedding, decay: float, *, sparse: bool) -> FusedAdamW:
    optimizer = make_optimizer(replace(optim(), weight_decay=decay), module.parameters())
    assert isinstance(optimizer, FusedAdamW)
    if sparse:
        optimizer.watch_rows(module)
    optimizer.skip_updates(torch.zeros(()))
    return optimizer


def step(module: torch.nn.Embedding, optimizer: FusedAdamW, ids: list[int], k: int, *, skip: bool = False) -> Tensor:
    """What the embedding gave for `ids`, before its update."""
    optimizer.param_groups[0]["lr"] = 0.01 * (1 + k % 3)
    optimizer.divide_gradients(torch.tensor(1.0 + k % 2))
    optimizer.skip_updates(torch.tensor(float(skip)))
    given = module(torch.tensor(ids))
    weights = torch.randn(len(ids), WIDTH, generator=torch.Generator().manual_seed(k))
    (given * weights).sum().backward()
    optimizer.step()
    optimizer.zero_grad()
    return given.detach().clone()


def assert_equal(sparse: torch.nn.Embedding, dense: torch.nn.Embedding, ours: FusedAdamW, theirs: FusedAdamW) -> None:
    ours.apply_deferred()
    assert torch.equal(sparse.weight, dense.weight)
    for name, value in theirs.state[dense.weight].items():
        assert torch.equal(ours.state[sparse.weight][name], value), name


steps = st.lists(
    st.tuples(
        st.lists(st.integers(0, ROWS - 1), min_size=1, max_size=8), st.sampled_from(["", "read", "skip", "resume"])
    ),
    min_size=1,
    max_size=12,
)


@pytest.mark.parametrize("decay", [0.0, 0.1], ids=["no decay", "decay"])
@given(steps=steps)
@settings(deadline=None)
def test_bits_are_those_of_dense_updates(decay: float, steps: list[tuple[list[int], str]]) -> None:
    """Whenever the weights are read, an update is skipped, or the run goes on from a checkpoint."""
    sparse, dense = embedding(), embedding()
    ours, theirs = optimizer_of(sparse, decay, sparse=True), optimizer_of(dense, decay, sparse=False)
    for k, (ids, event) in enumerate(steps):
        given = [step(*each, ids, k, skip=event == "skip") for each in ((sparse, ours), (dense, theirs))]
        assert torch.equal(*given), "training must see rows that are up to date"
        if event in ("read", "resume"):
            assert_equal(sparse, dense, ours, theirs)
        if event == "resume":
            resumed = embedding()
            resumed.load_state_dict(sparse.state_dict())
            state = {name: value.clone() for name, value in ours.state[sparse.weight].items()}
            sparse, ours = resumed, optimizer_of(resumed, decay, sparse=True)
            ours.state[sparse.weight].update(state)
    assert_equal(sparse, dense, ours, theirs)


def test_more_steps_than_are_deferred(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedding_rows, "MOST_DEFERRED", 3)
    sparse, dense = embedding(), embedding()
    ours, theirs = optimizer_of(sparse, 0.1, sparse=True), optimizer_of(dense, 0.1, sparse=False)
    for k in range(8):
        for each in ((sparse, ours), (dense, theirs)):
            step(*each, [1, 2, 2], k)
    assert_equal(sparse, dense, ours, theirs)


def test_all_rows_occur() -> None:
    sparse, dense = embedding(), embedding()
    ours, theirs = optimizer_of(sparse, 0.1, sparse=True), optimizer_of(dense, 0.1, sparse=False)
    for k, ids in enumerate([[1, 2], list(range(ROWS)), [5], [1]]):
        for each in ((sparse, ours), (dense, theirs)):
            step(*each, ids, k)
    assert_equal(sparse, dense, ours, theirs)


def test_rows_that_never_occur_are_not_touched_until_they_are_read() -> None:
    module = embedding()
    optimizer = optimizer_of(module, 0.1, sparse=True)
    before = module.weight.detach().clone()
    for k in range(3):
        step(module, optimizer, [1], k)
    assert torch.equal(module.weight[2:], before[2:])
    optimizer.apply_deferred()
    assert not torch.isclose(module.weight[2:], before[2:], rtol=1e-6).any()


def test_evaluation_does_not_count_as_occurring() -> None:
    module = embedding()
    optimizer = optimizer_of(module, 0.1, sparse=True)
    step(module, optimizer, [1], 0)
    optimizer.apply_deferred()
    module.eval()
    module(torch.arange(ROWS))
    module.train()
    before = module.weight.detach().clone()
    step(module, optimizer, [1], 1)
    assert torch.equal(module.weight[2:], before[2:])


def test_rows_that_are_no_whole_vectors_stay_dense() -> None:
    module = embedding(width=17)
    optimizer_of(module, 0.1, sparse=True)
    module(torch.tensor([1])).sum().backward()
    assert module.weight.grad is not None and not module.weight.grad.is_sparse
