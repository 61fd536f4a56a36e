"""Labels that look alike, such as "fruit" and "fruit ": they are found, and folded into one class if that is set."""

from __future__ import annotations

import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from passingloop.config.data import PARTS, DataConfig, NamedData, Part, SimilarLabels
from passingloop.data.examples.tokens import Tokens
from passingloop.data.prepare.equality import normalise
from passingloop.data.rows.places import Place
from passingloop.errors import DataError
from passingloop.text import list_excerpt

MAX_SHOWN = 10
"""Groups of similar labels that a message lists."""

Places = Sequence[tuple[Mapping[Part, Tokens], Sequence[str]]]
"""For each source the tokens of its parts, and the names of its classes."""


def label_key(label: str) -> str:
    """What similar labels have in common: they are compared as texts are, and without invisible characters."""
    return normalise("".join(character for character in label if unicodedata.category(character) != "Cf"))


def similar_groups(counts: Mapping[str, int]) -> list[list[str]]:
    """The groups of several labels that look alike, each with the name of its class first.

    The name is a label without superfluous blanks and in Unicode's form NFC, if there is one, and of those the most
    frequent.
    """
    groups = defaultdict(list)
    for label in counts:
        groups[label_key(label)].append(label)
    return [
        sorted(group, key=lambda label: (label != _tidy(label), -counts[label], label))
        for group in groups.values()
        if len(group) > 1
    ]


def combined_setting(sources: Sequence[DataConfig]) -> SimilarLabels:
    """What is done with similar labels of several sources: they are folded if all sources fold them."""
    settings = {source.similar_labels for source in sources if isinstance(source, NamedData)}
    return "keep" if "keep" in settings else "fold" if settings == {"fold"} else "refuse"


def check_similar_labels(counts: Mapping[str, int], setting: SimilarLabels, places: Places) -> list[str]:
    """Sentences on labels that look alike and are classes of their own.

    Args:
        counts: how many examples have each label.

    Raises:
        DataError: there are some, and the setting is refuse.
    """
    groups = similar_groups(counts)
    if not groups or setting == "fold":
        return []
    described = [" and ".join(_describe(label, counts[label], places) for label in group) for group in groups]
    if setting == "keep":
        return [f"Labels that look alike are classes of their own: {'; '.join(described[:MAX_SHOWN])}."]
    more = f"\n  and {len(groups) - MAX_SHOWN} more" if len(groups) > MAX_SHOWN else ""
    raise DataError(
        "Labels that look alike would be classes of their own:\n  "
        + "\n  ".join(described[:MAX_SHOWN])
        + f"{more}\nCorrect them, or set data.similar_labels=fold to make one class of each line, or "
        "data.similar_labels=keep if they are meant."
    )


def folded_sentences(spellings: Mapping[str, Mapping[str, int]]) -> Iterator[str]:
    """A sentence for each class that several labels were folded into, with their counts."""
    for name, counts in spellings.items():
        listed = [f"{shown(label)} ({count:,})" for label, count in counts.items()]
        yield f"Labels that look alike are folded into {shown(name)}: {list_excerpt(listed, MAX_SHOWN)}."


def shown(label: str) -> str:
    """A label in quotes; with other characters than ASCII also these in numbers, as they may look the same."""
    return repr(label) if label.isascii() else f"{label!r} = {label!a}"


class LabelNumbers:
    """Gives labels provisional numbers, in the order in which they first occur.

    Args:
        fold: whether labels that look alike get the same number.
    """

    def __init__(self, *, fold: bool) -> None:
        self._fold = fold
        self._numbers: dict[str, int] = {}
        self._keys: dict[str, int] = {}
        self._counts: Counter[str] = Counter()

    def numbers(self, labels: Sequence[str]) -> NDArray[np.int64]:
        """The number of each label, shape (n,)."""
        self._counts.update(labels)
        for label in dict.fromkeys(labels):
            if label not in self._numbers:
                key = label_key(label) if self._fold else label
                self._numbers[label] = self._keys.setdefault(key, len(self._keys))
        return np.array([self._numbers[label] for label in labels], np.int64)

    def names(self) -> dict[str, int]:
        """The name of each class, with its provisional number."""
        others = {label for group in self._groups() for label in group[1:]}
        return {label: number for label, number in self._numbers.items() if label not in others}

    def spellings(self) -> dict[str, dict[str, int]]:
        """For each class of several labels how often each of them occurs."""
        return {group[0]: {label: self._counts[label] for label in group} for group in self._groups()}

    def _groups(self) -> list[list[str]]:
        return similar_groups(self._counts) if self._fold else []


def distinct_numbers(
    numbers: NDArray[np.int64], counts: NDArray[np.int32]
) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """The numbers of each row without repetitions, and how many there are.

    Args:
        numbers: those of the first row, then those of the second, and so on.
        counts: of each row.
    """
    rows = [list(dict.fromkeys(row.tolist())) for row in np.split(numbers, np.cumsum(counts)[:-1])]
    return np.array([number for row in rows for number in row], np.int64), np.array(list(map(len, rows)), np.int32)


def _tidy(label: str) -> str:
    return " ".join(unicodedata.normalize("NFC", label).split())


def _describe(label: str, count: int, places: Places) -> str:
    first = next(_first_places(label, places), None)
    return f"{shown(label)} ({count:,} example{'s' * (count != 1)}{f', such as {first}' if first else ''})"


def _first_places(label: str, places: Places) -> Iterator[Place]:
    """The place of the first example with `label` in each part of each source."""
    for parts, names in places:
        for part in PARTS:
            tokens = parts.get(part)
            if tokens is None or tokens.labels is None or label not in names:
                continue
            found = np.flatnonzero(tokens.labels == names.index(label))[:1]
            starts = tokens.label_starts
            for position in found.tolist():
                yield tokens.place(position if starts is None else int(np.searchsorted(starts, position, "right")) - 1)
