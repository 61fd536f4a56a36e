"""Sentences for the log about dropped, cut and repeated examples."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from passingloop.config.data import PARTS
from passingloop.errors import DataError

Numbers = Mapping[str, Any]
"""The description of a part in ``meta.json``."""

DROPPED_NAMES = {
    "unparsable": ("line that cannot be parsed", "lines that cannot be parsed"),
    "empty": ("empty example", "empty examples"),
    "unlabelled": ("text without a label", "texts without a label"),
    "mislabelled": ("text with a label that cannot be used", "texts with a label that cannot be used"),
    "refused": ("chat that cannot be used", "chats that cannot be used"),
    "nothing": ("example with nothing to predict", "examples with nothing to predict"),
}
"""Singular and plural of each kind."""


def notes(parts: Mapping[str, Numbers]) -> list[str]:
    """Sentences on examples that were dropped, cut, repeated, or leaked from the training data."""
    return [sentence for part in PARTS if part in parts for sentence in _part_sentences(part, parts[part])]


def no_usable_example(part: str, counts: Mapping[Any, int]) -> DataError:
    """The error for a part of which all examples were dropped."""
    return DataError(f"The {part} data have no usable example. {' '.join(dropped_sentences(part, counts))}".strip())


def dropped_sentences(part: str, counts: Numbers) -> Iterator[str]:
    """A sentence for each kind of dropped example."""
    for kind, names in DROPPED_NAMES.items():
        if counts.get(kind):
            yield f"{part}: {counts[kind]:,} {names[counts[kind] > 1]} dropped."


def _part_sentences(part: str, counts: Numbers) -> Iterator[str]:
    yield from dropped_sentences(part, counts)
    if counts["too_long"]:
        yield f"{part}: {_quantity(counts['too_long'], 'example')} cut at data.max_length."
    if counts.get("unprompted"):
        yield (
            f"{part}: {_quantity(counts['unprompted'], 'answer')} without the beginning that the chat template's "
            "generation prompt has, such as <think>: at inference the model is given another prompt than in training."
        )
    if counts.get("lossy"):
        characters = ", ".join(f"{character!r} in {texts:,}" for character, texts in counts["lost"].items())
        yield (
            f"{part}: {_quantity(counts['lossy'], 'text')} with characters that the tokenizer leaves out, so the model "
            f"does not see them: {characters}. It has no token for unknown ones."
        )
    if counts["duplicate"]:
        yield f"{part}: {_quantity(counts['duplicate'], 'example')} with the text of an earlier one."
    if counts["conflicting"]:
        yield f"{part}: {_quantity(counts['conflicting'], 'example')} with the text of another, and another label."
    if counts["leaked_from_train"]:
        yield (
            f"{part}: {counts['leaked_from_train']:,} of {counts['used']:,} {part} texts also stand in the training "
            "data: what is measured on them says nothing about new texts."
        )


def _quantity(number: int, word: str) -> str:
    return f"{number:,} {word}{'s' * (number > 1)}"
