"""Characters that a tokenizer leaves out are found before training; what it really leaves out is the oracle."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers

from passingloop.tasks.lost_characters import LostCharacters

LEARNED = ["the quick brown fox jumps over the lazy dog"]

TEXTS = ["the fox", "the föx jumps", "中 dog", "The Fox!", "\n\tfox "]


def trained(pre_tokenizer: Any, normalizer: Any = None, *, every_byte: bool = False, **model: Any) -> Tokenizer:
    """A tokenizer that knows the letters of `LEARNED`."""
    tokenizer = Tokenizer(models.BPE(**model))
    tokenizer.pre_tokenizer = pre_tokenizer
    if normalizer:
        tokenizer.normalizer = normalizer
    alphabet = pre_tokenizers.ByteLevel.alphabet() if every_byte else []
    special = [model["unk_token"]] if "unk_token" in model else []
    suffix = {name: value for name, value in model.items() if name == "end_of_word_suffix"}
    tokenizer.train_from_iterator(
        LEARNED, trainers.BpeTrainer(special_tokens=special, initial_alphabet=alphabet, show_progress=False, **suffix)
    )
    return tokenizer


PLAIN = normalizers.Sequence([normalizers.NFD(), normalizers.StripAccents(), normalizers.Lowercase()])

LOSING = {
    "words": (trained(pre_tokenizers.Whitespace()), "ö中TF!"),
    "ends of words": (trained(pre_tokenizers.Whitespace(), end_of_word_suffix="</w>"), "ö中TF!"),
    "bytes of its own language": (trained(pre_tokenizers.ByteLevel()), "ö中TF!\n\t"),
    "blanks as a sign": (trained(pre_tokenizers.Metaspace()), "ö中TF!\n\t"),
    "normalised": (trained(pre_tokenizers.Whitespace(), PLAIN), "中!"),
}

WHOLE = {
    "unknown token": trained(pre_tokenizers.Whitespace(), unk_token="[UNK]"),
    "all bytes": trained(pre_tokenizers.ByteLevel(add_prefix_space=False), every_byte=True),
    "another model": Tokenizer(models.WordPiece({"[UNK]": 0}, unk_token="[UNK]")),
}


@pytest.mark.parametrize("kind", LOSING)
def test_what_is_lost_is_counted(kind: str) -> None:
    tokenizer, characters = LOSING[kind]
    lost = LostCharacters.of(tokenizer)
    assert lost
    rows, found = lost.count(TEXTS)
    assert found == Counter(characters)
    assert rows == sum(bool(set(text) & set(characters)) for text in TEXTS)
    for character in characters:
        assert tokenizer.encode(f"fox{character}fox").ids == tokenizer.encode("foxfox").ids or character in "TF!中\n\t"


@pytest.mark.parametrize("kind", WHOLE)
def test_nothing_is_looked_for_where_nothing_can_be_lost(kind: str) -> None:
    assert LostCharacters.of(WHOLE[kind]) is None


def test_bytes_of_characters_count_as_well() -> None:
    vocabulary = {f"<0x{byte:02X}>": byte for byte in range(256) if byte != 0xB6} | {"a": 256}
    lost = LostCharacters.of(Tokenizer(models.BPE(vocabulary, [], byte_fallback=True)))
    assert lost
    assert lost.count(["aä", "aö"]) == (1, Counter("ö")), "ö is the bytes C3 B6"
    whole = vocabulary | {"<0xB6>": 0xB6}
    assert LostCharacters.of(Tokenizer(models.BPE(whole, [], byte_fallback=True))) is None


def test_an_added_token_is_not_lost() -> None:
    tokenizer = trained(pre_tokenizers.Whitespace())
    tokenizer.add_tokens(["😀"])
    lost = LostCharacters.of(tokenizer)
    assert lost and lost.count(["fox 😀", "fox 😂"]) == (1, Counter("😂"))
