"""Encoders without padding compute what transformers computes with it, forward and backward."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
import transformers
from torch import Tensor
from torch.nn import functional as F

from passingloop.model.adapters.adapters import add_adapter
from passingloop.model.encoders.flat import Copies, layer_parameters, run_flat
from passingloop.model.encoders.geometry import MULTIPLE, Geometry, Padding
from passingloop.model.encoders.layer import Factors, LastLayer, Layer, Shape, Texts
from tests.train.tiny import lora

SIZES: dict[str, Any] = {
    "vocab_size": 50,
    "hidden_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 3,
    "intermediate_size": 40,
    "max_position_embeddings": 40,
    "pad_token_id": 1,
    "num_labels": 5,
}
CONFIGURATIONS: dict[str, Callable[..., Any]] = {
    "bert": transformers.BertConfig,
    "roberta": transformers.RobertaConfig,
    "xlm-roberta": transformers.XLMRobertaConfig,
    "camembert": transformers.CamembertConfig,
}
LENGTHS = (3, 9, 5, 1, 9)
every_kind = pytest.mark.parametrize("kind", CONFIGURATIONS)


def make_model(kind: str, **settings: Any) -> Any:
    torch.manual_seed(0)
    model: Any = transformers.AutoModelForSequenceClassification.from_config(CONFIGURATIONS[kind](**SIZES | settings))
    for parameter in model.parameters():  # zero biases would hide that one is left out
        torch.nn.init.normal_(parameter, std=0.2)
    return model.eval()


def both(kind: str, **settings: Any) -> tuple[Any, Any]:
    plain = make_model(kind, **settings)
    flat = copy.deepcopy(plain)
    assert run_flat(flat)
    return plain, flat


def make_batch(lengths: tuple[int, ...] = LENGTHS, *, left: bool = False) -> dict[str, Tensor]:
    width = max(lengths)
    mask = torch.arange(width)[None] < torch.tensor(lengths)[:, None]
    ids = torch.randint(2, 50, mask.shape, generator=torch.Generator().manual_seed(1))
    if left:
        mask = mask.flip(1)
    return {"input_ids": torch.where(mask, ids, 1), "attention_mask": mask.long()}


def loss_and_gradients(model: Any, batch: dict[str, Tensor], *, bf16: bool = False) -> tuple[Tensor, dict[str, Tensor]]:
    model.zero_grad()
    with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
        logits = model(**batch).logits
    loss = F.cross_entropy(logits.float(), torch.arange(len(logits)) % 5)
    loss.backward()
    return loss.detach(), {name: p.grad.clone() for name, p in model.named_parameters()}


def difference(gradients: dict[str, Tensor], reference: dict[str, Tensor]) -> float:
    """Of all gradients together, relative."""
    distance = sum(float((gradients[name] - value).square().sum()) for name, value in reference.items())
    return float((distance / sum(float(value.square().sum()) for value in reference.values())) ** 0.5)


@every_kind
@pytest.mark.parametrize("lengths", [LENGTHS, (7, 7, 7)], ids=["padded", "equal"])
def test_loss_and_gradients_are_those_of_transformers(kind: str, lengths: tuple[int, ...]) -> None:
    plain, flat = both(kind)
    batch = make_batch(lengths)
    loss, gradients = loss_and_gradients(flat, batch)
    reference, expected = loss_and_gradients(plain, batch)
    assert torch.allclose(loss, reference, rtol=1e-6)
    assert gradients.keys() == expected.keys()
    for name, value in expected.items():
        assert torch.allclose(gradients[name], value, rtol=1e-4, atol=1e-6), name


@every_kind
def test_in_bf16_it_is_about_as_exact_as_autocast(kind: str) -> None:
    plain, flat = both(kind)
    _, exact = loss_and_gradients(plain, make_batch())
    _, autocast = loss_and_gradients(plain, make_batch(), bf16=True)
    _, ours = loss_and_gradients(flat, make_batch(), bf16=True)
    assert 0 < difference(ours, exact) < 1.5 * difference(autocast, exact)


@every_kind
def test_padding_at_the_start(kind: str) -> None:
    plain, flat = both(kind)
    batch = make_batch(left=True)
    masked = batch["attention_mask"].bool()
    with torch.no_grad():
        expected, states = (model.base_model(**batch).last_hidden_state for model in (plain, flat))
    assert torch.allclose(states[masked], expected[masked], atol=1e-5)
    assert not states[~masked].any()


def test_without_a_mask_there_is_no_padding() -> None:
    plain, flat = both("bert")
    batch = {"input_ids": make_batch((6, 6))["input_ids"]}
    assert difference(loss_and_gradients(flat, batch)[1], loss_and_gradients(plain, batch)[1]) < 1e-5


def test_a_text_has_no_influence_on_its_neighbours() -> None:
    flat = both("roberta")[1]
    batch = make_batch()
    other = {name: value.clone() for name, value in batch.items()}
    other["input_ids"][1] = 7
    with torch.no_grad():
        before, after = (flat(**each).logits for each in (batch, other))
    kept = [0, 2, 3, 4]
    assert torch.equal(before[kept], after[kept])
    assert not torch.equal(before[1], after[1])


@pytest.mark.parametrize("bf16", [False, True], ids=["fp32", "bf16"])
def test_a_change_of_weights_is_seen(bf16: bool) -> None:
    """Copies of the weights are kept between forward passes."""
    from passingloop.train.optim.optimizer import make_optimizer
    from tests.train.tiny import optim

    flat = both("bert")[1]
    optimizer = make_optimizer(optim(lr=0.1), flat.parameters())
    loss_and_gradients(flat, make_batch(), bf16=bf16)
    optimizer.step()
    changed, _ = loss_and_gradients(flat, make_batch(), bf16=bf16)
    fresh = make_model("bert")
    fresh.load_state_dict(flat.state_dict())
    assert run_flat(fresh)
    assert torch.equal(changed, loss_and_gradients(fresh, make_batch(), bf16=bf16)[0])


@pytest.mark.parametrize("extra", ["token_type_ids", "output_hidden_states"])
def test_what_training_does_not_pass_is_left_to_transformers(extra: str) -> None:
    plain, flat = both("bert", type_vocab_size=3)
    batch: dict[str, Any] = make_batch()
    batch[extra] = torch.ones_like(batch["input_ids"]) if extra == "token_type_ids" else True
    with torch.no_grad():
        results = [model(**batch) for model in (plain, flat)]
    assert torch.equal(results[0].logits, results[1].logits)
    assert (results[1].hidden_states is None) == (extra == "token_type_ids")


@pytest.mark.parametrize("settings", [{"hidden_act": "relu"}, {"is_decoder": True}], ids=str)
def test_other_layers_are_not_replaced(settings: dict[str, Any]) -> None:
    assert not run_flat(make_model("bert", **settings))


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")
def test_layers_with_adapters_are_not_replaced() -> None:
    import peft

    model = peft.get_peft_model(make_model("bert"), peft.LoraConfig(target_modules="all-linear"))
    assert not run_flat(model.base_model.model)


def test_dropout_is_that_of_a_plain_computation_with_the_same_factors() -> None:
    """Loss and gradients of one layer, against one written in single operations for autograd."""
    layer = make_model("bert").bert.encoder.layer[0]
    batch = make_batch()
    geometry = Geometry.of(batch["attention_mask"], batch["input_ids"])
    flat, generator = len(geometry.padded), torch.Generator().manual_seed(2)

    def drop(*shape: int) -> Tensor:
        return (torch.rand(shape, generator=generator) > 0.3) / 0.7

    factors = Factors(drop(5 * 3, 9, 9), drop(flat, 24), drop(flat, 24))
    hidden = torch.randn(flat, 24, generator=generator)
    weight = torch.randn(flat, 24, generator=generator)
    weight[geometry.tokens :] = 0
    results = []
    for apply in (_fused, _by_operations):
        layer.zero_grad()
        states = hidden.clone().requires_grad_()
        value = (apply(layer, states, geometry, factors) * weight).sum()
        value.backward()
        assert states.grad is not None
        results.append([value.detach(), states.grad, *(p.grad.clone() for p in layer_parameters(layer))])
    for ours, expected in zip(*results, strict=True):
        assert torch.allclose(ours, expected, rtol=1e-4, atol=1e-5)


def test_the_last_layer_computes_what_the_first_tokens_need() -> None:
    """Against a layer that computes all, with dropout."""
    copies = Copies(layer_parameters(make_model("bert").bert.encoder.layer[0]))
    batch = make_batch()
    geometry = Geometry.of(batch["attention_mask"], batch["input_ids"])
    flat, first = len(geometry.padded), geometry.first
    attention, attended, fed = (torch.rand(5 * 3, 9, 9) + 0.5, torch.rand(flat, 24) + 0.5, torch.rand(flat, 24) + 0.5)
    whole, part = Factors(attention, attended, fed), Factors(attention[:, :1], attended[first], fed[first])
    states, weight = torch.randn(flat, 24), torch.randn(5, 24)
    results = []
    for layer, factors, wanted in ((Layer, whole, first), (LastLayer, part, slice(None))):
        hidden = states.clone().requires_grad_()
        shape, texts = Shape(3, 1e-12), Texts(geometry, geometry.bias())
        given: Any = layer
        value = given.apply(hidden, shape, texts, factors, copies.of_type(torch.float32), *copies.parameters)[wanted]
        results.append([value.detach(), *torch.autograd.grad((value * weight).sum(), [hidden, *copies.parameters])])
    for ours, expected in zip(*results, strict=True):
        assert torch.allclose(ours, expected, rtol=1e-4, atol=1e-5)


def test_a_head_of_every_token_gets_every_token() -> None:
    torch.manual_seed(0)
    plain = transformers.BertForTokenClassification(transformers.BertConfig(**SIZES)).eval()
    flat = copy.deepcopy(plain)
    assert run_flat(flat)
    batch = make_batch()
    with torch.no_grad():
        expected, logits = (model(**batch).logits for model in (plain, flat))
    kept = batch["attention_mask"].bool()
    assert torch.allclose(logits[kept], expected[kept], atol=1e-5)


def _fused(layer: Any, hidden: Tensor, geometry: Geometry, factors: Factors) -> Tensor:
    copies = Copies(layer_parameters(layer))
    result: Tensor = Layer.apply(
        hidden,
        Shape(3, 1e-12),
        Texts(geometry, geometry.bias()),
        factors,
        copies.of_type(torch.float32),
        *copies.parameters,
    )
    return result


def _by_operations(layer: Any, hidden: Tensor, geometry: Geometry, factors: Factors) -> Tensor:
    """Text by text; the filling is left as it is."""
    attention, results = layer.attention, []
    assert factors.attention is not None and factors.attended is not None and factors.fed is not None
    by_text = factors.attention.view(5, 3, 9, 9)
    start = 0
    for text, length in enumerate(LENGTHS):
        x = hidden[start : start + length]
        q, k, v = (
            part(x).view(length, 3, 8).transpose(0, 1)
            for part in (attention.self.query, attention.self.key, attention.self.value)
        )
        weights = (q @ k.transpose(1, 2) / 8**0.5).softmax(-1) * by_text[text, :, :length, :length]
        mixed = (weights @ v).transpose(0, 1).reshape(length, 24)
        place = slice(start, start + length)
        x = attention.output.LayerNorm(x + attention.output.dense(mixed) * factors.attended[place])
        fed = layer.output.dense(F.gelu(layer.intermediate.dense(x)))
        results.append(layer.output.LayerNorm(x + fed * factors.fed[place]))
        start += length
    return torch.cat([*results, hidden[start:]])


def test_the_two_forms_are_inverse_and_filling_is_zero() -> None:
    batch = make_batch()
    geometry = Geometry.of(batch["attention_mask"], batch["input_ids"])
    assert len(geometry.padded) % MULTIPLE == 0 and geometry.tokens == sum(LENGTHS) < len(geometry.padded)
    values = torch.randn(5 * 9, 2)
    flat = geometry.to_flat(values)
    assert not flat[geometry.tokens :].any()
    kept = batch["attention_mask"].flatten().bool()
    assert torch.equal(geometry.to_padded(flat), torch.where(kept[:, None], values, 0))


def test_the_gradient_of_padding() -> None:
    batch = make_batch()
    geometry = Geometry.of(batch["attention_mask"], batch["input_ids"])
    hidden = torch.randn(len(geometry.padded), 3, dtype=torch.float64, requires_grad=True)
    padded = Padding.apply(hidden, geometry)
    factors = torch.randn_like(padded)
    (padded * factors).sum().backward()
    assert hidden.grad is not None
    assert torch.equal(hidden.grad[: geometry.tokens], factors[batch["attention_mask"].bool()])
    assert not hidden.grad[geometry.tokens :].any()


@pytest.mark.parametrize("bf16", [False, True])
@pytest.mark.parametrize(("kind", "chosen"), [("bert", {}), ("roberta", {"dora": True}), ("bert", {"dropout": 0.5})])
def test_layers_with_an_adapter_compute_what_transformers_computes(
    kind: str, chosen: dict[str, Any], bf16: bool
) -> None:
    plain = add_adapter(make_model(kind), lora(**chosen), 1, new=(), classifies=True).eval()
    for name, parameter in plain.named_parameters():
        if "lora_B" in name:  # zeros would hide that it is left out
            torch.nn.init.normal_(parameter, std=0.2)
    flat = copy.deepcopy(plain)
    assert run_flat(flat)
    (loss, gradients), (expected, reference) = (adapted_loss(model, make_batch(), bf16=bf16) for model in (flat, plain))
    assert "lora_A" in "".join(gradients) and gradients.keys() == reference.keys()
    assert torch.allclose(loss, expected, rtol=2e-2 if bf16 else 1e-5)
    assert difference(gradients, reference) < (5e-2 if bf16 else 1e-5)


def adapted_loss(model: Any, batch: dict[str, Tensor], *, bf16: bool) -> tuple[Tensor, dict[str, Tensor]]:
    """As `loss_and_gradients`, of the parameters that are trained."""
    with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
        logits = model(**batch).logits
    loss = F.cross_entropy(logits.float(), torch.arange(len(logits)) % 5)
    loss.backward()
    return loss.detach(), {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


def test_with_an_adapter_training_drops_out_too() -> None:
    chosen = lora(dropout=0.3)
    flat = add_adapter(make_model("bert"), chosen, 1, new=(), classifies=True).train()
    assert run_flat(flat)
    batch, found = make_batch(), []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        found.append(flat(**batch).logits.detach())
    assert torch.equal(found[0], found[1]) and not torch.equal(found[0], found[2])
