"""The classes that examples have: which there are, and in which order, which gives each its number."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from passingloop.config.build import did_you_mean
from passingloop.config.data import PARTS, Part
from passingloop.errors import DataError

SHOWN = 5
"""How many names an error lists before it says how many more there are."""


def sort_labels(names: Collection[str]) -> list[str]:
    """The labels in order: by value where all are whole numbers, else as text."""
    whole = all(name.removeprefix("-").isdecimal() for name in names)
    return sorted(names, key=lambda name: (int(name), name) if whole else name)


def classes_of(sources: Sequence[Mapping[Part, Mapping[str, Any]]], fewest: int = 2) -> list[str]:
    """The classes that one or several sources have together, in order; none where there are no classes.

    Args:
        sources: of each, what ``meta.json`` says of its parts.
        fewest: how many classes there must be, if there are any: 1 or 2.

    Raises:
        DataError: there are fewer, or a label occurs in validation or test data that does not in training.
    """
    labels = {part: _labels(part, sources) for part in PARTS}
    names = sort_labels(labels["train"])
    for part, counts in labels.items():
        unknown = Counter({label: rows for label, rows in counts.items() if label not in labels["train"]})
        if unknown:
            raise _unknown(part, unknown, names)
    if len(names) == 1 < fewest:
        raise DataError(
            f"The training data have a single class, {names[0]!r}. A classifier needs two classes at least."
        )
    return names


def _labels(part: Part, sources: Sequence[Mapping[Part, Mapping[str, Any]]]) -> Counter[str]:
    """How many examples each label has in `part`; what was split off the training data counts as such."""
    counts: Counter[str] = Counter()
    for parts in sources:
        for name, described in parts.items():
            if part == ("train" if described["read"] is None else name):
                counts.update(described["labels"])
    return +counts


def _unknown(part: Part, unknown: Counter[str], names: list[str]) -> DataError:
    label, rows = unknown.most_common(1)[0]
    listed = ", ".join(map(repr, list(unknown)[:SHOWN]))
    more = f" and {len(unknown) - SHOWN} more" if len(unknown) > SHOWN else ""
    return DataError(
        f"The {part} data have {listed}{more} as label, which the training data have not ({label!r}: {rows} rows)."
        f"{did_you_mean(label, names)} Correct the labels, or take these rows out of data.{part}."
    )
