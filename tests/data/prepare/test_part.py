"""What is told of a part: its labels, its lengths, and a few examples."""

from __future__ import annotations

from pathlib import Path

import pytest
import transformers
from tokenizers import pre_tokenizers

from passingloop.data.files.source import Files
from passingloop.data.prepare.fill import Recipe
from passingloop.data.prepare.pipeline import prepare_source
from tests.data.conftest import Check, DataConfigs, put
from tests.data.made import csv
from tests.tasks.test_lost_characters import trained


def test_labels_lengths_and_samples(check: Check) -> None:
    rows = [("word " * (number % 20 + 1), "ab"[number % 4 == 0]) for number in range(200)]
    prepared = check.prepared("a.csv", csv(*rows))  # type: ignore[attr-defined]
    found, bins = prepared.meta["parts"]["train"], prepared.meta["bins"]
    assert found["labels"] == {"a": 150, "b": 50}
    lengths = found["lengths"]
    # [CLS] and [SEP] come to 1 to 20 words.
    assert [lengths[f"p{p}"] for p in (0, 5, 25, 50, 75, 95, 99, 100)] == [3, 3, 7, 12, 17, 21, 22, 22]
    assert found["too_long"] == 60  # more than 14 words
    assert 16 in bins and sum(lengths["histogram"]) == 200
    assert sum(n for end, n in zip(bins, lengths["histogram"], strict=True) if end > 16) == 60
    assert found["samples"] == [0, 99, 199]


LOSSY = ["the fox", "the föx jumps", "中 dog", "The Fox!", "fox"]


@pytest.mark.parametrize("chats", [False, True])
def test_characters_that_are_left_out_are_said(chats: bool, tmp_path: Path, data_config: DataConfigs) -> None:
    words = trained(pre_tokenizers.Whitespace(), end_of_word_suffix="</w>")
    template = "{% for m in messages %}{{ m.content }} dog {% endfor %}"
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_object=words, eos_token="dog</w>", chat_template=template
    )
    if chats:
        turns = '[{{"role": "user", "content": "the fox"}}, {{"role": "assistant", "content": "{}"}}]'
        content = "".join(f'{{"messages": {turns.format(text.strip())}}}\n' for text in LOSSY)
        config = data_config(train=str(put(tmp_path / "a.jsonl", content)), messages="messages", validation_fraction=0)
    else:
        rows = csv(*((text, "ab"[number % 2]) for number, text in enumerate(LOSSY)))
        config = data_config(train=str(put(tmp_path / "a.csv", rows)), validation_fraction=0)
    task = "causal_lm" if chats else "classification"
    recipe = Recipe(task=task, config=config, tokenizer=tokenizer, max_length=64)
    notes = prepare_source(recipe, Files(config, task), tmp_path / "cache", lambda _: None)[0].notes
    assert (
        "train: 3 texts with characters that the tokenizer leaves out, so the model does not see them: '!' in 1, "
        "'F' in 1, 'T' in 1, 'ö' in 1, '中' in 1. It has no token for unknown ones."
    ) in notes
