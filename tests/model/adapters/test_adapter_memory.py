"""The memory of a model with LoRA, and what follows from it."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import transformers

from passingloop.model.adapters.adapter_memory import (
    describe_adapter,
    fits_unquantized,
    held,
    lora_bytes,
    resolve_quantize,
)
from passingloop.model.adapters.adapters import add_adapter
from passingloop.model.adapters.frozen import Held
from passingloop.model.device.memory import USABLE, bytes_per_token
from tests.train.tiny import BY_HIDDEN_SIZE, lora, make_model

AUTO = "AutoModelForCausalLM"
BOTH = {"dora": True, "rslora": True}
USE = {"bf16": True, "row_tokens": 64, "tokens_have_logits": True, "shards": 1}


def settings() -> Any:
    return transformers.LlamaConfig(**BY_HIDDEN_SIZE, max_position_embeddings=64, dtype="bfloat16")


@pytest.mark.parametrize(("how", "rel"), [("fp32", 1e-9), ("bf16", 1e-9), ("nf4", 0.01)])
def test_bytes_are_those_of_the_model(how: Held, rel: float) -> None:
    base = make_model("llama")
    with torch.no_grad():
        for parameter in base.parameters():
            parameter.copy_(parameter.bfloat16())
    expected = lora_bytes(base, lora(), how)
    model = add_adapter(base, lora(), 1, new=[], classifies=False, held=how)
    there = sum(p.numel() * (16 if p.requires_grad else p.element_size()) for p in model.parameters())
    assert expected == pytest.approx(there, rel=rel)


def test_weights_are_quantised_only_if_they_do_not_fit_otherwise() -> None:
    model, config = make_model("llama"), settings()
    activations = 64 * bytes_per_token(config, tokens_have_logits=True)
    room = (lora_bytes(model, lora(), "bf16") + activations) / USABLE
    whole = (lora_bytes(model, lora(), "fp32") + activations) / USABLE
    auto = lora(quantize="auto")

    def resolved(gpu_memory: float | None, adapter: Any = auto, **use: Any) -> str:
        gpu = None if gpu_memory is None else int(gpu_memory)
        return resolve_quantize(adapter, config, AUTO, gpu, **USE | use)

    assert (resolved(1.01 * room), resolved(0.99 * room)) == ("none", "nf4")
    assert resolved(0.99 * room, shards=2) == "none"
    assert (resolved(1.01 * room, bf16=False), resolved(1.01 * whole, bf16=False)) == ("nf4", "none")
    assert resolved(None) == "none", "on a CPU"
    assert resolved(1.0, lora(quantize="none")) == "none" and resolved(None, lora(quantize="nf4")) == "nf4"
    assert resolved(1.0, lora(kind="none", quantize="auto")) == "none", "without an adapter nothing is frozen"
    config.dtype = torch.float32
    assert not fits_unquantized(model, auto, config, int(1.01 * room), **USE), "bf16 holds no checkpoint in fp32"


def test_how_weights_are_held() -> None:
    assert [held("none", bf16=False), held("none", bf16=True), held("nf4", bf16=True)] == ["fp32", "bf16", "nf4"]


@pytest.mark.parametrize(
    ("chosen", "quantize", "fits", "said"),
    [
        ({}, "none", None, "LoRA of rank 2, beside frozen weights in fp32, 0.00 GB"),
        (
            {"dora": True, "rslora": True},
            "none",
            True,
            "DoRA of rank 2, rsLoRA, beside frozen weights in fp32, 0.00 GB",
        ),
        ({"quantize": "nf4"}, "nf4", None, "LoRA of rank 2, beside frozen weights in 4 bits (NF4), 0.00 GB"),
        ({"quantize": "nf4"}, "nf4", True, "; unquantised they fit this GPU as well, and are faster: adapter=lora"),
        ({"quantize": "nf4"}, "nf4", False, "4 bits (NF4), 0.00 GB"),
        ({"quantize": "auto"}, "nf4", False, "; unquantised they would not fit the GPU"),
        ({"quantize": "auto"}, "none", True, "; not quantised, as they fit the GPU"),
        ({"quantize": "auto"}, "none", None, "; not quantised, as it has no GPU"),
    ],
)
def test_the_header_says_how_weights_are_held_and_why(
    chosen: dict[str, Any], quantize: str, fits: bool | None, said: str
) -> None:
    adapter = lora(**chosen)
    model = add_adapter(make_model("llama"), adapter, 1, new=[], classifies=False, held=held(quantize, bf16=False))
    assert describe_adapter(model, adapter, quantize, fits).endswith(said)
