"""What the device allows: the number format, and how many tokens a pass takes."""

from __future__ import annotations

import itertools
import time
from typing import Any

import pytest
import torch
import transformers

from passingloop.model.device import CPU_TOKENS, bf16_cost, micro_batch_tokens, resolve_precision
from passingloop.train.optim.optimizer import state_bytes
from tests.train.tiny import adafactor, make_model, optim


def tokens(model: Any, gpu_memory: int | None = None, *, causal: bool = True) -> int:
    return micro_batch_tokens(
        model, model.config, gpu_memory, state_bytes(optim(), model.parameters()), tokens_have_logits=causal
    )


@pytest.mark.parametrize("kind", ["llama", "gpt2", "bloom", "mamba"])
def test_a_tiny_model_takes_all_a_cpu_is_given(kind: str) -> None:
    assert tokens(make_model(kind)) == CPU_TOKENS


def test_a_large_vocabulary_takes_less_of_a_cpu() -> None:
    settings = make_model("llama").config
    settings.vocab_size = 250_000
    few = micro_batch_tokens(make_model("llama"), settings, None, 0, tokens_have_logits=True)
    assert 100 < few < CPU_TOKENS


def test_less_room_fewer_tokens_and_one_at_least() -> None:
    model = make_model("llama")
    found = [tokens(model, room) for room in (10**12, 10**11, 10**9, 10**7, 0)]
    assert found == sorted(found, reverse=True)
    assert found[0] > found[1] > found[2] > found[-1] == 1


def test_logits_and_optimizer_take_their_room() -> None:
    model = make_model("llama")
    assert tokens(model, 10**8, causal=False) > tokens(model, 10**8)
    frozen = make_model("llama").requires_grad_(False)
    assert tokens(frozen, 10**8) > tokens(model, 10**8)
    states = [state_bytes(chosen, model.parameters()) for chosen in (optim(), adafactor())]
    assert states[0] == 8 * sum(p.numel() for p in model.parameters())
    assert states[1] < states[0] / 10


def test_models_that_see_images_have_their_text_settings_inside() -> None:
    text = {"hidden_size": 64, "num_hidden_layers": 2, "vocab_size": 1000}
    nested = transformers.Gemma3Config(text_config=text, vision_config={"hidden_size": 9999})
    plain = transformers.Gemma3TextConfig(**text)
    model = make_model("llama")
    found = [micro_batch_tokens(model, settings, 10**9, 0, tokens_have_logits=True) for settings in (nested, plain)]
    assert found[0] == found[1]


# --- number format --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cuda", [False, True])
@pytest.mark.parametrize("wanted", ["fp32", "bf16"])
def test_what_is_asked_for_is_what_is_used(wanted: str, cuda: bool) -> None:
    assert resolve_precision(wanted, cuda=cuda) == wanted


def test_auto_on_this_cpu() -> None:
    with open("/proc/cpuinfo") as file:  # noqa: PTH123
        flags = next((line.split(":")[1].split() for line in file if line.startswith(("flags", "Features"))), [])
    has = bool({"avx512_bf16", "amx_bf16", "bf16"} & set(flags))
    assert resolve_precision("auto", cuda=False) == ("bf16" if has else "fp32")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_auto_on_this_gpu() -> None:
    expected = "bf16" if torch.cuda.get_device_capability() >= (8, 0) else "fp32"
    assert resolve_precision("auto", cuda=True) == expected


def test_what_bf16_costs_is_the_ratio_of_the_shortest_times(monkeypatch: pytest.MonkeyPatch) -> None:
    """By a clock on which each layer takes a known time: a machine that others use has none."""
    linear, clock = torch.nn.functional.linear, [0.0]
    disturbances = itertools.cycle([9.0, 0.0, 4.0])

    def timed(*arguments: torch.Tensor) -> torch.Tensor:
        clock[0] += (3.0 if torch.is_autocast_enabled("cpu") else 2.0) + next(disturbances)
        return linear(*arguments)

    monkeypatch.setattr(torch.nn.functional, "linear", timed)
    monkeypatch.setattr(time, "perf_counter", lambda: clock[0])
    before = torch.get_rng_state()
    assert bf16_cost(times=3) == 1.5
    assert torch.equal(torch.get_rng_state(), before)
