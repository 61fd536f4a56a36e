"""The models and tokenizers that tests/train and tests/data make."""

from __future__ import annotations

from tests.data.conftest import bert_tokenizer, chat_tokenizer
from tests.train.conftest import fabric, llama, minilm, one_thread, saved, tokenizer

__all__ = ["bert_tokenizer", "chat_tokenizer", "fabric", "llama", "minilm", "one_thread", "saved", "tokenizer"]
