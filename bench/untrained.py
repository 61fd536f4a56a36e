"""Models by their size, untrained, and texts of random words for them: what bench/gpu.py trains.

How fast training is does not depend on the weights. Causal models have no weights on disk at all; they are made from
their configuration, on the device. A tokenizer of whole words makes one token of each word, so lengths are exact, and
the tokens are spread over the vocabulary.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tokenizers
import torch
import transformers
from tokenizers import models, pre_tokenizers

WORDS = 32_000
PAD, END = 0, 1
SPECIAL = ("<pad>", "<end>")
VOCABULARY = WORDS + len(SPECIAL)
CLASSES = 77

CONFIGURATIONS = {
    # Sizes of Qwen2.5-0.5B and Qwen2.5-1.5B, whose tokenizer class takes no words; Llama-3.1-8B
    "0.5B": lambda: transformers.LlamaConfig(
        vocab_size=151_936, hidden_size=896, intermediate_size=4864, num_hidden_layers=24, num_attention_heads=14,
        num_key_value_heads=2, max_position_embeddings=32_768,
        rope_parameters={"rope_type": "default", "rope_theta": 1e6},
        tie_word_embeddings=True,
    ),
    "1.5B": lambda: transformers.LlamaConfig(
        vocab_size=151_936, hidden_size=1536, intermediate_size=8960, num_hidden_layers=28, num_attention_heads=12,
        num_key_value_heads=2, max_position_embeddings=32_768,
        rope_parameters={"rope_type": "default", "rope_theta": 1e6},
        tie_word_embeddings=True,
    ),
    "8B": lambda: transformers.LlamaConfig(
        vocab_size=128_256, hidden_size=4096, intermediate_size=14_336, num_hidden_layers=32, num_attention_heads=32,
        num_key_value_heads=8, max_position_embeddings=131_072,
        rope_parameters={"rope_type": "default", "rope_theta": 5e5},
        tie_word_embeddings=False,
    ),
    "tiny": lambda: transformers.LlamaConfig(
        vocab_size=VOCABULARY, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2,
        num_key_value_heads=1, max_position_embeddings=256, tie_word_embeddings=True,
    ),
    # all-MiniLM-L6-v2, but for its vocabulary of 30,522
    "MiniLM": lambda: transformers.BertConfig(
        vocab_size=VOCABULARY, hidden_size=384, intermediate_size=1536, num_hidden_layers=6, num_attention_heads=12,
        max_position_embeddings=512,
    ),
    "tiny encoder": lambda: transformers.BertConfig(
        vocab_size=VOCABULARY, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2,
        max_position_embeddings=256,
    ),
}  # fmt: skip


def write_model(size: str, folder: Path) -> Path:
    """A folder with a model of that size and the tokenizer of words. Of causal models without weights."""
    words = {word: number for number, word in enumerate((*SPECIAL, *(f"w{i}" for i in range(WORDS))))}
    inner = tokenizers.Tokenizer(models.WordLevel(words, unk_token=SPECIAL[END]))
    inner.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    settings = CONFIGURATIONS[size]()
    settings.update({"pad_token_id": PAD, "bos_token_id": END, "eos_token_id": END})
    if settings.model_type == "bert":
        torch.manual_seed(0)
        transformers.AutoModel.from_config(settings).save_pretrained(folder)
    else:
        settings.save_pretrained(folder)
    transformers.PreTrainedTokenizerFast(
        tokenizer_object=inner, pad_token=SPECIAL[PAD], eos_token=SPECIAL[END], model_max_length=1 << 20
    ).save_pretrained(folder)
    return folder


def random_model(path: str, *_: Any, **arguments: Any) -> Any:
    """In place of ``AutoModelForCausalLM.from_pretrained``: on the GPU if there is one."""
    settings = transformers.AutoConfig.from_pretrained(path)
    chosen = {name: arguments[name] for name in ("attn_implementation",) if name in arguments}
    with torch.device("cuda" if torch.cuda.is_available() else "cpu"):
        model = transformers.AutoModelForCausalLM.from_config(
            settings, dtype=arguments.get("dtype", torch.float32), **chosen
        )
    report: dict[str, Any] = {"missing_keys": set(), "unexpected_keys": set(), "mismatched_keys": set()}
    return (model, report) if arguments.get("output_loading_info") else model


def text_lengths(count: int, median: float, longest: int, seed: int = 0) -> list[int]:
    """Of `count` texts: log-normal, as lengths of texts are."""
    drawn = np.random.default_rng(seed).lognormal(np.log(median), 0.6, count)
    lengths: list[int] = drawn.astype(int).clip(4, longest).tolist()
    return lengths


def write_documents(path: Path, lengths: Sequence[int], seed: int = 0) -> Path:
    """A JSONL file with a `text` of random words for each of the lengths in tokens, the token of its end included."""
    random = np.random.default_rng(seed)
    with path.open("w", encoding="utf-8") as file:
        for length in lengths:
            file.write(json.dumps({"text": _words(random, length - 1)}) + "\n")
    return path


def write_questions(path: Path, lengths: Sequence[int], seed: int = 0) -> Path:
    """A CSV file with `text` and `label`, one of `CLASSES`; lengths in tokens."""
    random = np.random.default_rng(seed)
    rows = [f"{_words(random, length)},class {number % CLASSES}" for number, length in enumerate(lengths)]
    path.write_text("text,label\n" + "\n".join(rows) + "\n", encoding="utf-8")
    return path


def _words(random: np.random.Generator, count: int) -> str:
    return " ".join(f"w{number}" for number in random.integers(WORDS, size=count))
