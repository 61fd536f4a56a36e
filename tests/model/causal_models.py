"""A small model of each family of causal language models, untrained."""

from __future__ import annotations

from typing import Any

import torch
import transformers

from tests.train.tiny import VOCABULARY

WIDTHS = {"vocab_size": VOCABULARY, "bos_token_id": 1, "eos_token_id": 1, "pad_token_id": 0}
PLAIN = WIDTHS | {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64}
GROUPED = PLAIN | {"num_key_value_heads": 2}
WINDOW = 4
"""Shorter than the texts of the tests."""

FAMILIES = {
    "llama": lambda: transformers.LlamaConfig(**GROUPED),
    "qwen2": lambda: transformers.Qwen2Config(**GROUPED),
    "qwen3": lambda: transformers.Qwen3Config(**GROUPED, head_dim=8),
    "mistral": lambda: transformers.MistralConfig(**GROUPED, sliding_window=WINDOW),
    "mixtral": lambda: transformers.MixtralConfig(**GROUPED, num_local_experts=4),
    "gemma": lambda: transformers.GemmaConfig(**GROUPED, head_dim=8),
    "gemma2": lambda: transformers.Gemma2Config(**GROUPED, head_dim=8, sliding_window=WINDOW),
    "gemma3": lambda: transformers.Gemma3TextConfig(
        **GROUPED, head_dim=8, sliding_window=WINDOW, layer_types=["sliding_attention", "full_attention"]
    ),
    "gpt2": lambda: transformers.GPT2Config(
        **WIDTHS, n_embd=32, n_layer=2, n_head=4, n_positions=64, attn_pdrop=0, embd_pdrop=0, resid_pdrop=0
    ),
    "gpt_neox": lambda: transformers.GPTNeoXConfig(**PLAIN),
    "opt": lambda: transformers.OPTConfig(
        **WIDTHS,
        hidden_size=32,
        word_embed_proj_dim=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        ffn_dim=64,
        max_position_embeddings=64,
        dropout=0.0,
    ),
    "phi3": lambda: transformers.Phi3Config(**GROUPED),
    "olmo2": lambda: transformers.Olmo2Config(**GROUPED),
    "granite": lambda: transformers.GraniteConfig(**GROUPED, logits_scaling=3.0),
    "cohere": lambda: transformers.CohereConfig(**GROUPED),
    "stablelm": lambda: transformers.StableLmConfig(**GROUPED),
    "nanochat": lambda: transformers.NanoChatConfig(**GROUPED),
    "llama4": lambda: transformers.Llama4TextConfig(
        **GROUPED, head_dim=8, attention_chunk_size=WINDOW, num_local_experts=2, intermediate_size_mlp=32
    ),
}
"""The configuration of each."""

EXPERTS = {"mixtral"}
"""Families with products that torch does not compute in fp64."""


def causal_model(family: str) -> Any:
    """The model of a family; the same every time. In fp64, in which rounding does not hide an influence, if it can."""
    torch.manual_seed(0)
    model = transformers.AutoModelForCausalLM.from_config(FAMILIES[family]())
    with torch.no_grad():  # so that logits differ as those of a trained model do
        model.get_output_embeddings().weight.mul_(20)
    return (model if family in EXPERTS else model.double()).eval()
