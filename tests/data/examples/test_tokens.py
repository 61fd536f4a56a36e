"""The tokens of a part on disk: ids come back as they were written, whatever their size."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tokenizers
import transformers

from passingloop.data.examples.tokens import Tokens, TokenWriter
from passingloop.errors import DataError
from passingloop.tasks.encoding import largest_id
from tests.data.prepare.conftest import Preparing, rows
from tests.train.tiny import make_tokenizer


@pytest.mark.parametrize(("largest", "bytes_per_id"), [(2**16 - 1, 2), (2**16, 4), (2**17, 4)])
def test_the_width_fits_the_largest_id(tmp_path: Path, largest: int, bytes_per_id: int) -> None:
    with TokenWriter(tmp_path / "part", largest) as writer:
        writer.add([np.array([0, largest])], np.array([1]), np.array([0]))
    assert (tmp_path / "part" / "tokens.bin").stat().st_size == 2 * bytes_per_id
    assert Tokens(tmp_path / "part").ids(0).tolist() == [0, largest]


def test_an_id_that_does_not_fit_is_refused(tmp_path: Path) -> None:
    with (
        TokenWriter(tmp_path / "part", 300) as writer,
        pytest.raises(
            DataError, match="tokens of the examples include 65536, but are stored as numbers of at most 65535"
        ),
    ):
        writer.add([np.array([1, 2**16])], np.array([1]), np.array([0]))


def changed_tokenizer(change: str) -> Any:
    """A tokenizer with an id over 65,535, although it has 320 tokens."""
    content = json.loads(make_tokenizer().backend_tokenizer.to_str())
    match change:
        case "gap in the vocabulary":
            content["model"]["vocab"]["t"] = 70_000
        case "added token":
            content["added_tokens"][1]["id"] = content["model"]["vocab"]["<eos>"] = 70_000
        case "post-processor":
            template = [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}]
            special = {"<s>": {"id": "<s>", "ids": [70_000], "tokens": ["<s>"]}}
            content["post_processor"] = {
                "type": "TemplateProcessing",
                "single": template,
                "pair": template,
                "special_tokens": special,
            }
    inner = tokenizers.Tokenizer.from_str(json.dumps(content))
    return transformers.PreTrainedTokenizerFast(tokenizer_object=inner, eos_token="<eos>", pad_token="<pad>")


@pytest.mark.parametrize("change", ["gap in the vocabulary", "added token", "post-processor"])
def test_ids_above_the_size_of_the_vocabulary_are_kept(preparing: Preparing, change: str) -> None:
    preparing.tokenizer = changed_tokenizer(change)
    assert len(preparing.tokenizer) < 2**16
    assert largest_id(preparing.tokenizer) == 70_000
    examples = [(f"t <eos> {text}", label) for text, label in rows(10)]
    prepared = preparing(examples, validation_fraction=0, test_fraction=0, max_length=64)
    tokens = prepared.parts["train"]
    expected = [preparing.tokenizer(text)["input_ids"] for text, _ in examples]
    assert [tokens.ids(example).tolist() for example in range(10)] == expected
    assert max(expected[0]) == 70_000
