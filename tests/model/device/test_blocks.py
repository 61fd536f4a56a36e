"""Blocks that are computed twice give the same numbers, bit by bit, and keep less."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch

from passingloop.model.adapters.adapters import add_adapter
from passingloop.model.device.blocks import Blocks, fewest_recomputed, repeated_blocks
from tests.model.device.counting import CountedMemory
from tests.train.tiny import CONFIGURATIONS, lora, make_model

LAYERS = {"num_hidden_layers": 4}
KINDS = {"llama": LAYERS, "bert": LAYERS, "distilbert": {"n_layers": 4}, "gpt2": {"n_layer": 4}, "lfm2": {}}


def trained(kind: str) -> Any:
    """A model in training, with dropout where it has any."""
    return make_model(kind, "classification" if "bert" in kind else "causal_lm", **KINDS[kind]).train()


def loss_and_gradients(model: Any) -> list[torch.Tensor]:
    torch.manual_seed(5)
    model.zero_grad()
    ids = torch.arange(5 * 24).reshape(5, 24) % 300
    loss = model(input_ids=ids, attention_mask=(ids > 3).long()).logits.square().mean()
    loss.backward()
    return [loss.detach(), *(p.grad.clone() for p in model.parameters() if p.grad is not None)]


@pytest.mark.parametrize("kind", list(KINDS))
def test_computed_twice_everything_is_the_same_and_takes_less_memory(kind: str) -> None:
    model = trained(kind)
    plain = loss_and_gradients(model)
    blocks, peaks = Blocks(model), []
    names = list(model.state_dict())
    for count in (0, len(blocks) // 2, len(blocks)):
        blocks.recompute(count)
        for mine, other in zip(loss_and_gradients(model), plain, strict=True):
            assert torch.equal(mine, other)
        peaks.append(CountedMemory(1e12).peak(lambda: loss_and_gradients(model) and None, held=0))
    assert peaks[0] > peaks[1] > peaks[2]
    assert list(model.state_dict()) == names


def test_an_adapted_model_has_the_same_blocks() -> None:
    model = add_adapter(make_model("bert", "classification"), lora(), 1, new=[], classifies=True).train()
    plain = loss_and_gradients(model)
    Blocks(model).recompute(1)
    for mine, other in zip(loss_and_gradients(model), plain, strict=True):
        assert torch.equal(mine, other)


def test_in_evaluation_nothing_is_done_twice() -> None:
    model = make_model("llama")
    plain = model(input_ids=torch.arange(9)[None]).logits
    blocks, calls = Blocks(model), []
    blocks.recompute(len(blocks))
    blocks.use(lambda forward: calls.append(forward) or forward)
    model.model.layers[0].register_forward_hook(lambda *_: calls.append("called"))
    calls.clear()
    assert torch.equal(model.eval()(input_ids=torch.arange(9)[None]).logits, plain)
    assert calls == ["called"]


def test_a_copy_computes_with_its_own_weights() -> None:
    model = trained("llama")
    Blocks(model).recompute(2)
    twin = copy.deepcopy(model)
    with torch.no_grad():
        for parameter in twin.parameters():
            parameter.zero_()
    assert all(gradient.isfinite().all() for gradient in loss_and_gradients(model))
    assert loss_and_gradients(twin)[0] == 0 != loss_and_gradients(model)[0]


@pytest.mark.parametrize("kind", sorted(CONFIGURATIONS))
def test_every_kind_of_model_can_be_asked_for_its_blocks(kind: str) -> None:
    task = "causal_lm" if kind in ("llama", "gpt2", "bloom", "mamba", "lfm2") else "classification"
    blocks = repeated_blocks(make_model(kind, task))
    assert all(isinstance(block, torch.nn.Module) for block in blocks)
    assert len(blocks) != 1


@pytest.mark.parametrize("needed", range(9))
def test_as_few_blocks_as_are_needed_are_computed_twice(needed: int) -> None:
    tried = []

    def peak(recomputed: int) -> float:
        tried.append(recomputed)
        return 100.0 - 10.0 * recomputed

    assert fewest_recomputed(peak, 8, 100.0 - 10.0 * needed) == needed
    assert len(tried) <= 4, "by bisection"


def test_all_blocks_are_computed_twice_if_even_that_is_not_enough() -> None:
    assert fewest_recomputed(lambda recomputed: 1e9, 8, 1.0) == 8
    assert fewest_recomputed(lambda recomputed: 1e9, 0, 1.0) == 0
