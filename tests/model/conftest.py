"""The models and tokenizers that tests/train makes."""

from __future__ import annotations

from tests.train.conftest import fabric, llama, minilm, one_thread, saved, tokenizer

__all__ = ["fabric", "llama", "minilm", "one_thread", "saved", "tokenizer"]
