"""Characters that a tokenizer leaves out of texts without a word.

BPE does so with characters that are not in its vocabulary, if it has no token for unknown ones: tokenizers trained on a
language of their own, and byte-level ones whose vocabulary lacks bytes. Others have such a token, or refuse.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

from tokenizers.pre_tokenizers import ByteLevel

FOREIGN = "中😀"
"""Characters that are not in the alphabet of byte-level tokenizers."""


class LostCharacters:
    """Finds the characters that a tokenizer leaves out. Each is looked up once."""

    def __init__(self, backend: Any) -> None:
        """`backend` is a tokenizer of the library `tokenizers` with a BPE model."""
        self._backend = backend
        self._vocabulary = backend.get_vocab(with_added_tokens=False)
        self._alphabet = _alphabet(self._vocabulary, backend.model)
        self._kept = {char for token in backend.get_added_tokens_decoder().values() for char in token.content}
        self._lost: set[str] = set()

    @classmethod
    def of(cls, backend: Any) -> LostCharacters | None:
        """None if `backend` leaves no characters out, which is found without looking at texts."""
        if type(backend.model).__name__ != "BPE" or backend.model.unk_token is not None:
            return None
        lost = cls(backend)
        foreign = set(lost._pieces(FOREIGN))
        has_all_bytes = bool(foreign) and foreign <= set(ByteLevel.alphabet()) <= lost._alphabet
        return None if has_all_bytes or lost._has_bytes(bytes(range(256))) else lost

    def count(self, texts: Iterable[str]) -> tuple[int, Counter[str]]:
        """The number of `texts` with such characters, and in how many of them each is."""
        rows, found = 0, Counter[str]()
        for text in texts:
            characters = set(text)
            for new in characters - self._kept - self._lost:
                (self._lost if self._is_lost(new) else self._kept).add(new)
            lost = characters & self._lost
            rows += bool(lost)
            found.update(lost)
        return rows, found

    def _is_lost(self, character: str) -> bool:
        return any(
            piece not in self._alphabet and not self._has_bytes(piece.encode()) for piece in self._pieces(character)
        )

    def _pieces(self, text: str) -> str:
        """`text` as the model gets it, in one; without what is left out on purpose, such as blanks."""
        normalizer, pre_tokenizer = self._backend.normalizer, self._backend.pre_tokenizer
        text = normalizer.normalize_str(text) if normalizer else text
        return "".join(piece for piece, _ in pre_tokenizer.pre_tokenize_str(text)) if pre_tokenizer else text

    def _has_bytes(self, content: bytes) -> bool:
        """Whether the model falls back to bytes, and has all of these."""
        return self._backend.model.byte_fallback and all(f"<0x{byte:02X}>" in self._vocabulary for byte in content)


def _alphabet(vocabulary: Iterable[str], model: Any) -> set[str]:
    """The characters that are tokens, at least in one place of a word."""
    before, after = model.continuing_subword_prefix or "", model.end_of_word_suffix or ""
    bare = (token.removesuffix(after) for token in vocabulary)
    return {token.removeprefix(before) for token in bare if len(token.removeprefix(before)) == 1}
