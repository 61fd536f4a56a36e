"""How many tokens a formula expects to fit into a pass."""

from __future__ import annotations

from typing import Any

import pytest
import transformers

from passingloop.model.device.memory import CPU_TOKENS, first_setting, micro_batch_tokens
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


def test_settings_have_other_names_in_other_models_and_null_is_no_value() -> None:
    assert first_setting(transformers.GPT2Config(n_embd=48), "hidden_size", "n_embd", default=1) == 48
    assert first_setting(transformers.GPT2Config(), "n_inner", "ffn_dim", default=7) == 7
