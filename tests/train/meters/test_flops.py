"""Operations of training steps by the three definitions, against figures worked out by hand and published ones."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
import transformers

from passingloop.model.adapters.adapters import add_adapter
from passingloop.train.meters.flops import PEAKS, ModelSize, Operations, model_size, peak_flops
from tests.train.tiny import BY_HIDDEN_SIZE, lora, make_model

MATRICES = 2 * (4 * 32 * 32 + 3 * 32 * 64)
"""Of the two layers of the tiny Llama: queries, keys, values, output; gate, up, down."""

TABLE = 320 * 32
NORMS = 5 * 32


def of(model: Any, *lengths: int, is_causal: bool = False) -> Operations:
    return model_size(model, model.config, is_causal=is_causal).operations(np.array(lengths))


def test_a_causal_model_by_hand() -> None:
    attention = 12 * 2 * 32 * (8 * 8 + 3 * 3)
    found = of(make_model("llama"), 8, 3, is_causal=True)
    computing = 6 * 11 * (MATRICES + NORMS + TABLE)
    assert found.all_parameters == computing + 6 * 11 * TABLE + attention
    assert found.without_embedding == computing + attention
    assert found.causal == computing + attention / 2


def test_a_table_that_is_the_output_layer_as_well_computes() -> None:
    tied = of(make_model("llama", tie_word_embeddings=True), 8, is_causal=True)
    assert tied.all_parameters == tied.without_embedding == 6 * 8 * (MATRICES + NORMS + TABLE) + 12 * 2 * 32 * 8 * 8


def test_an_encoder_attends_to_all_and_its_tables_only_look_up() -> None:
    model = make_model("bert", "classification")
    found = of(model, 8)
    tables = TABLE + 64 * 32 + 2 * 32  # of tokens, positions and types
    assert found.without_embedding == found.causal
    assert found.all_parameters - found.without_embedding == 6 * 8 * tables
    every = sum(parameter.numel() for parameter in model.parameters())
    assert found.all_parameters == 6 * 8 * every + 12 * 2 * 32 * 8 * 8


def test_a_causal_model_that_classifies_attends_to_half() -> None:
    found = of(make_model("llama", "classification"), 8)
    assert found.without_embedding - found.causal == 12 * 2 * 32 * 8 * 8 / 2


def test_frozen_parameters_have_no_gradients() -> None:
    model = add_adapter(make_model("llama"), lora(), 1, new=[], classifies=False)
    adapters = sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
    frozen = MATRICES + NORMS + TABLE
    found = model_size(model, model.config, is_causal=True).operations(np.array([8]))
    assert found.without_embedding == 8 * (4 * frozen + 6 * adapters) + 12 * 2 * 32 * 8 * 8
    assert found.all_parameters == found.without_embedding + 8 * 4 * TABLE


def test_quantised_parameters_count_by_what_they_stand_for() -> None:
    """A stand-in for a parameter of bitsandbytes, which keeps two weights of 4 bits in a byte."""
    model = make_model("llama")
    whole = of(model, 8, is_causal=True)
    for layer in model.model.layers:
        weight = layer.mlp.up_proj.weight
        packed = torch.nn.Parameter(torch.zeros(weight.numel() // 2, dtype=torch.uint8), requires_grad=False)
        packed.quant_state = type("QuantState", (), {"shape": weight.shape})()  # type: ignore[attr-defined]
        layer.mlp.up_proj.weight = packed
    assert of(model, 8, is_causal=True).causal == whole.causal - 8 * 2 * 2 * (32 * 64)


def test_a_window_limits_what_is_attended_to() -> None:
    configuration = transformers.MistralConfig(**BY_HIDDEN_SIZE, num_key_value_heads=2, sliding_window=4)
    found = of(transformers.AutoModelForCausalLM.from_config(configuration), 3, 10)
    seen = [sum(min(place, 4) for place in range(1, length + 1)) for length in (3, 10)]
    half = (3 + 4) / 2  # where the window is not full yet, a token sees itself by half, as in a triangle
    without = 6 * 13 * (MATRICES + NORMS + TABLE)
    assert found.without_embedding - without == 12 * 2 * 32 * (3 * 3 + 10 * 4)
    assert found.causal - without == 12 * 2 * 32 * (sum(seen) - half)


def test_only_layers_with_attention_attend() -> None:
    model = make_model("lfm2")
    size = model_size(model, model.config, is_causal=True)
    assert len(size.windows) == 1
    model = make_model("mamba")
    assert model_size(model, model.config, is_causal=True).windows == ()


def test_a_token_meets_a_part_of_the_experts() -> None:
    configuration = transformers.MixtralConfig(**BY_HIDDEN_SIZE, num_local_experts=8, num_experts_per_tok=2)
    model = transformers.AutoModelForCausalLM.from_config(configuration)
    experts = sum(parameter.numel() for name, parameter in model.named_parameters() if ".experts." in name)
    assert experts == 2 * 8 * 3 * 32 * 64
    every = sum(parameter.numel() for parameter in model.parameters())
    size = model_size(model, model.config, is_causal=True)
    assert size.per_token == 6 * (every - experts + experts * 2 / 8)


def test_published_figures_of_an_8b_model_on_an_h200() -> None:
    """KempnerForge: 10,471 tokens a second of Llama 3.1 8B at 4,096 tokens, 57.8 % and 51.1 % of the peak."""
    parameters, table = 8.03e9, 128_256 * 4_096
    size = ModelSize(
        per_token=6 * parameters,
        per_token_without_embedding=6 * (parameters - table),
        width=4_096,
        windows=(float("inf"),) * 32,
        is_causal=True,
    )
    seconds = 4_096 / 10_471
    peak = peak_flops("NVIDIA H200")
    assert peak is not None
    shares = size.operations(np.array([4_096])).shares_of(peak * seconds)
    assert [round(100 * share, 1) for share in shares.values()] == [57.8, 54.5, 51.1]


@pytest.mark.parametrize(
    ("name", "teraflops"),
    [
        ("NVIDIA H200", 989.4),
        ("NVIDIA H200 NVL", 835.5),
        ("NVIDIA H100 80GB HBM3", 989.4),
        ("NVIDIA H100 PCIe", 756),
        ("NVIDIA A100-SXM4-80GB", 312),
        ("NVIDIA L40S", 362),
        ("NVIDIA GeForce RTX 4090", 165.2),
        ("NVIDIA RTX 6000 Ada Generation", 364.2),
        ("NVIDIA GeForce RTX 4090 Laptop GPU", None),
        ("NVIDIA H200 MIG 1g.18gb", None),
        ("NVIDIA GeForce GTX 1080", None),
        ("", None),
    ],
)
def test_peaks_by_the_drivers_names(name: str, teraflops: float | None) -> None:
    assert peak_flops(name) == (None if teraflops is None else teraflops * 1e12)


def test_the_peaks_are_dense() -> None:
    """A mistake that others have made: the makers' tables give those of sparse matrices."""
    assert max(PEAKS.values()) == PEAKS["gb200"] == 2.5e15
    assert PEAKS["h200"] < 1e15
