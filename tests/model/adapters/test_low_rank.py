"""A linear layer with factors computes what PEFT's layer does, keeps less for it, and compiles."""

from __future__ import annotations

import statistics
from typing import Any

import peft
import pytest
import torch
from torch import Tensor

from passingloop.model.adapters.adapters import add_adapter
from passingloop.model.adapters.frozen import Held
from passingloop.model.adapters.low_rank import FactoredLinear
from tests.train.tiny import lora, make_model, random_ids

IDS = torch.tensor(random_ids([9, 9]))
CHOICES: list[dict[str, Any]] = [{}, {"dropout": 0.3}, {"rslora": True}, {"dora": True}]

Outcome = tuple[Tensor, dict[str, Tensor]]


def adapted(kind: str, held: Held = "fp32", **chosen: Any) -> Any:
    """A model in training, whose factors are no longer zero; bf16 holds its other weights exactly."""
    causal = kind != "bert"
    dropout = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0} if kind == "bert" else {}
    dropout = {"resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0} if kind == "gpt2" else dropout
    base = make_model(kind, "causal_lm" if causal else "classification", **dropout)
    with torch.no_grad():
        for parameter in base.parameters():
            parameter.copy_(parameter.bfloat16())
    model = add_adapter(base, lora(**chosen), 1, new=[], classifies=not causal, held=held)
    torch.manual_seed(7)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(torch.randn_like(parameter), alpha=0.1)
    return model.train()


def outcome(model: Any, *, bf16: bool = False) -> Outcome:
    """Logits, and gradients of the trained parameters."""
    model.zero_grad()
    torch.manual_seed(3)
    with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
        logits = model(input_ids=IDS).logits
    logits.float().square().mean().backward()
    return logits.detach().float(), {n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None}


def distance(one: Outcome, other: Outcome) -> float:
    """The mean relative difference of logits and gradients, by their norms."""
    assert one[1].keys() == other[1].keys()
    pairs = [(one[0], other[0]), *((one[1][name], other[1][name]) for name in one[1])]
    return statistics.mean(float((a - b).norm() / b.norm()) for a, b in pairs)


def as_peft(monkeypatch: pytest.MonkeyPatch, model: Any, **how: Any) -> Outcome:
    """The outcome by PEFT's own computation."""
    with monkeypatch.context() as patch:
        patch.setattr(FactoredLinear, "forward", peft.tuners.lora.Linear.forward)
        return outcome(model, **how)


@pytest.mark.parametrize("chosen", CHOICES, ids=str)
@pytest.mark.parametrize("kind", ["llama", "gpt2", "bert"])
def test_it_computes_what_peft_does(monkeypatch: pytest.MonkeyPatch, kind: str, chosen: dict[str, Any]) -> None:
    model = adapted(kind, **chosen)
    exact = as_peft(monkeypatch, model)
    assert distance(outcome(model), exact) < 1e-5
    rounded = as_peft(monkeypatch, model, bf16=True)
    if not chosen.get("dropout"):  # which draws other numbers in another type
        assert distance(outcome(model, bf16=True), exact) < 1.5 * distance(rounded, exact) < 0.03


@pytest.mark.parametrize("kind", ["llama", "gpt2", "bert"])
def test_weights_held_in_bf16_change_no_bit(kind: str) -> None:
    whole, half = outcome(adapted(kind), bf16=True), outcome(adapted(kind, "bf16"), bf16=True)
    assert distance(half, whole) == 0


def kept_bytes(model: Any) -> int:
    """Bytes that a forward pass in bf16 keeps for the backward pass, besides parameters."""
    kept: dict[int, int] = {}
    parameters = {parameter.untyped_storage().data_ptr() for parameter in model.parameters()}

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in parameters:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        outcome(model, bf16=True)
    return sum(kept.values())


@pytest.mark.parametrize("chosen", [{}, {"dora": True}], ids=str)
def test_it_keeps_no_copies_of_weights(monkeypatch: pytest.MonkeyPatch, chosen: dict[str, Any]) -> None:
    ours = kept_bytes(adapted("llama", "bf16", **chosen))
    assert kept_bytes(adapted("llama", "nf4", **chosen)) == ours
    monkeypatch.setattr(FactoredLinear, "forward", peft.tuners.lora.Linear.forward)
    model = adapted("llama", **chosen)
    layers = [module.base_layer.weight for module in model.modules() if isinstance(module, FactoredLinear)]
    # All but those of the first layer's input, of which no gradient is needed.
    assert ours <= kept_bytes(model) - 0.8 * 2 * sum(weight.numel() for weight in layers)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # torch.compile, which looks at everything, causes many
@pytest.mark.parametrize("chosen", CHOICES, ids=str)
@pytest.mark.parametrize("held", ["bf16", "nf4"])
def test_a_block_compiles_as_a_whole(held: Held, chosen: dict[str, Any]) -> None:
    torch._dynamo.reset()
    model = adapted("llama", held, **chosen).eval()
    plain = outcome(model, bf16=True)
    for block in model.base_model.model.model.layers:
        block.compile(backend="aot_eager", fullgraph=True)
    assert distance(outcome(model, bf16=True), plain) == 0
