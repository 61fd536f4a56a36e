"""In a packed row each text is learned as if it stood alone, whatever the family of the model."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch.nn.attention import varlen

from passingloop.data.examples.packed_order import PackedOrder
from passingloop.data.examples.tokens import Tokens
from passingloop.model.attention_choice import choose_attention, study_attention
from passingloop.model.packed_attention import (
    DOCUMENTS,
    POSITIONS,
    VARLEN,
    PackedAttention,
    documents_attention,
    varlen_attention,
)
from passingloop.train.module import FineTuner
from tests.model.causal_models import FAMILIES, WINDOW, causal_model
from tests.train.tiny import ALONE, VOCABULARY, fine_tuner, layout, make_model, optim, random_ids, write_tokens

CPU = torch.device("cpu")
ROW = 40
LENGTHS = [9, 13, 7, 11]

OWN = {"gemma2", "stablelm", "llama4"}
"""Families that keep their own attention on a CPU: with a cap on scores, without a way for arguments, in chunks."""


@pytest.fixture
def texts(tmp_path: Any) -> Tokens:
    return write_tokens(tmp_path / "texts", random_ids(LENGTHS))


def choose(model: Any) -> PackedAttention | None:
    return choose_attention(model, VOCABULARY, ROW, CPU, bf16=False)


def losses_and_gradients(module: FineTuner, batch: Any) -> tuple[float, dict[str, torch.Tensor]]:
    module.zero_grad()
    loss = module.training_step(batch)
    loss.backward()
    gradients = {name: p.grad.clone() for name, p in module.named_parameters() if p.grad is not None}
    return float(loss.detach()), gradients


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_packed_texts_are_learned_as_if_each_stood_alone(family: str, texts: Tokens) -> None:
    """Loss and gradients: also under an all-ones mask, which switches the separation by positions off."""
    model = causal_model(family)
    module = fine_tuner(model, "causal_lm", optim()).eval()
    alone = [layout(texts, "causal_lm").batch([[example]], 1.0) for example in range(len(LENGTHS))]
    expected = [losses_and_gradients(module, batch) for batch in alone]
    attention = choose(model)
    assert attention is (POSITIONS if family in OWN else DOCUMENTS)
    packed = layout(texts, "causal_lm", row_tokens=ROW, attention=attention).batch([[2, 0, 1], [3]], 1.0)
    masks = [{}] if family in OWN else [{}, {"attention_mask": torch.ones_like(packed["inputs"]["input_ids"])}]
    for mask in masks:
        loss, gradients = losses_and_gradients(module, {**packed, "inputs": packed["inputs"] | mask})
        assert loss == pytest.approx(sum(each for each, _ in expected), rel=1e-6)
        largest = max(float(gradient.abs().max()) for gradient in gradients.values())
        for name, gradient in gradients.items():
            assert torch.allclose(gradient, sum(each[name] for _, each in expected), rtol=0, atol=1e-6 * largest), name


@pytest.mark.parametrize("family", ["llama", "mistral", "gemma2"])
def test_a_text_does_not_change_with_its_neighbours(family: str, texts: Tokens) -> None:
    model = causal_model(family)
    laid_out = layout(texts, "causal_lm", row_tokens=ROW, attention=choose(model))
    module = fine_tuner(model, "causal_lm", optim()).eval()

    def logits(before: int) -> torch.Tensor:
        start = LENGTHS[before]
        with torch.no_grad():
            return module(laid_out.batch([[before, 1, 2]], 1.0))[0, start : start + LENGTHS[1]]

    assert torch.allclose(logits(0), logits(3), rtol=0, atol=1e-6)


def test_a_window_is_only_left_to_the_attention_that_is_told_of_it() -> None:
    """Llama 4 makes chunks by its mask alone. Shorter texts do not reach the end of one."""
    chunked = causal_model("llama4")
    assert not study_attention(chunked, VOCABULARY, WINDOW + 1)
    assert len(study_attention(causal_model("mistral"), VOCABULARY, WINDOW + 1)) == 2


@pytest.mark.parametrize("kind", ["bloom", "mamba", "lfm2", "bert", "xlnet"])
def test_what_leaks_otherwise_is_not_packed(kind: str) -> None:
    model = make_model(kind).train()
    before, own = torch.get_rng_state(), model.config._attn_implementation
    assert choose(model) is None
    assert model.training and torch.equal(torch.get_rng_state(), before)
    assert model.config._attn_implementation == own


def test_dropout_of_attention_is_kept() -> None:
    model = make_model("gpt2").train()
    assert {call.dropout for call in study_attention(model, VOCABULARY, ROW)} == {0.1}


@pytest.mark.parametrize("window", [None, 3, 100])
def test_the_sequences_of_a_row_by_themselves(window: int | None) -> None:
    """Against the attention that has a mask for all of it."""
    torch.manual_seed(0)
    query, key, value = (torch.randn(2, heads, 12, 8, dtype=torch.float64) for heads in (4, 2, 2))
    lengths = [5, 7, 3, 8, 1]
    number = torch.repeat_interleave(torch.arange(5), torch.tensor(lengths)).view(2, 12)
    place = torch.arange(12)
    seen = (number[:, :, None] == number[:, None, :]) & (place[:, None] >= place[None, :])
    seen &= place[:, None] - place[None, :] < (window or 12)
    expected = torch.nn.functional.scaled_dot_product_attention(
        query, key, value, attn_mask=seen[:, None], scale=0.3, enable_gqa=True
    )
    told = DOCUMENTS.arguments(lengths, 12)
    found, _ = documents_attention(
        torch.nn.Module(), query, key, value, None, scaling=0.3, sliding_window=window, **told
    )
    assert torch.allclose(found, expected.transpose(1, 2))


def test_few_sizes_of_bounds() -> None:
    """What is compiled for a size is used again: 1 to 200 texts have few sizes, and the longest text is no integer."""
    sizes = set()
    for count in range(1, 201):
        told = VARLEN.arguments([3] * count, 1024)
        bounds = told["cu_seq_lens_q"]
        assert told["max_length_q"] == 1024
        assert bounds[: count + 1].tolist() == list(range(0, 3 * count + 1, 3))
        assert (bounds[count:] == 3 * count).all() and bounds.dtype == torch.int32
        sizes.add(len(bounds))
    assert len(sizes) < 26


@pytest.mark.parametrize("window", [None, 3])
def test_flash_attention_is_called_with_what_it_takes(window: int | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stand-in for torch's kernel, which needs a GPU, computes in fp64 what the kernel is documented to."""

    def stand_in(
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        bounds: torch.Tensor,
        same: torch.Tensor,
        longest: int,
        _: int,
        *,
        scale: float,
        window_size: tuple[int, int],
        enable_gqa: bool,
    ) -> torch.Tensor:
        assert bounds is same and longest == 12 and enable_gqa and query.dtype == torch.bfloat16
        lengths = bounds.diff()
        left = 12 if window_size[0] < 0 else window_size[0]
        number = torch.repeat_interleave(torch.arange(len(lengths)), lengths)
        place = torch.arange(len(query))
        seen = (number[:, None] == number[None, :]) & (place[:, None] >= place[None, :])
        seen &= place[:, None] - place[None, :] <= left
        triple = (tensor.double().transpose(0, 1)[None] for tensor in (query, key, value))
        attended = torch.nn.functional.scaled_dot_product_attention(
            *triple, attn_mask=seen, scale=scale, enable_gqa=True
        )
        return attended[0].transpose(0, 1).bfloat16()

    monkeypatch.setattr(varlen, "varlen_attn", stand_in)
    torch.manual_seed(0)
    triple = [torch.randn(2, heads, 12, 8) for heads in (4, 2, 2)]
    lengths = [5, 7, 3, 8, 1]
    settings: dict[str, Any] = {"scaling": 0.3, "sliding_window": window}
    expected, _ = documents_attention(torch.nn.Module(), *triple, None, **settings, **DOCUMENTS.arguments(lengths, 12))
    found, _ = varlen_attention(torch.nn.Module(), *triple, None, **settings, **VARLEN.arguments(lengths, 12))
    assert found.dtype == torch.float32 and torch.allclose(found, expected, atol=0.03)


def test_an_epoch_has_few_shapes(tmp_path: Any) -> None:
    """Shapes of what a step gives to a GPU: those of an epoch are few, and code is compiled for each once."""
    lengths = np.clip(np.random.default_rng(0).lognormal(4, 0.8, 3000), 2, 512).astype(int).tolist()
    tokens = write_tokens(tmp_path / "many", random_ids(lengths))
    order = PackedOrder(tokens.lengths, 1, batch_tokens=8 * 512, row_tokens=512)
    laid_out = layout(tokens, "causal_lm", row_tokens=512, batch_tokens=8 * 512, multiple=8, attention=VARLEN)
    seen: dict[str, set[Any]] = {"input_ids": set(), "cu_seq_lens_q": set(), "max_length_q": set(), "counted": set()}
    for k in range(order.steps_per_epoch):
        for batch in laid_out.step(order.step(k), ALONE):
            for name, value in {**batch["inputs"], "counted": batch["counted"]}.items():
                if name in seen:
                    seen[name].add(value if isinstance(value, int) else tuple(value.shape))
    assert order.steps_per_epoch > 50
    assert len(seen["input_ids"]) <= 3 and (8, 512) in seen["input_ids"]
    assert len(seen["max_length_q"]) <= len(seen["input_ids"])
    assert len(seen["cu_seq_lens_q"]) < 12 and len(seen["counted"]) < 6
