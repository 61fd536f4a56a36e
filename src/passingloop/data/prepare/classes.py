"""The classes of the examples, and their order, which gives each class its number."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from passingloop.config.build import did_you_mean
from passingloop.config.data import PARTS, Part
from passingloop.data.prepare.similar_labels import similar_groups
from passingloop.errors import DataError
from passingloop.text import list_excerpt

MAX_LISTED_NAMES = 5
"""Names that an error lists; of the others it has the count."""


def sort_labels(names: Collection[str]) -> list[str]:
    """The labels sorted: by value if all are whole numbers, else as text."""
    whole = all(name.removeprefix("-").isdecimal() for name in names)
    return sorted(names, key=lambda name: (int(name), name) if whole else name)


def classes_of(
    sources: Sequence[Mapping[Part, Mapping[str, Any]]], fewest: int = 2, *, fold: bool = False
) -> tuple[list[str], dict[str, int]]:
    """The classes of one or several sources together, sorted, and the number of the class of each label.

    Both are empty for a task without classes.

    Args:
        sources: for each source the parts in its ``meta.json``.
        fewest: the least number of classes, 1 or 2, for a task with classes.
        fold: whether labels that look alike, of different sources, are one class.

    Raises:
        DataError: there are fewer, or validation or test data have a label that the training data do not have.
    """
    groups = similar_groups(label_counts(sources)) if fold else []
    class_of = {label: group[0] for group in groups for label in group}
    labels: dict[Part, Counter[str]] = {part: Counter() for part in PARTS}
    for part in PARTS:
        for label, rows in _part_counts(part, sources).items():
            labels[part][class_of.get(label, label)] += rows
    names = sort_labels(labels["train"])
    for part, counts in labels.items():
        unknown = Counter({label: rows for label, rows in counts.items() if label not in labels["train"]})
        if unknown:
            raise _unknown_label_error(part, unknown, names)
    if len(names) == 1 < fewest:
        raise DataError(
            f"The training data have a single class, {names[0]!r}. A classifier needs two classes at least."
        )
    numbers = {name: number for number, name in enumerate(names)}
    return names, numbers | {label: numbers[name] for label, name in class_of.items()}


def label_counts(sources: Sequence[Mapping[Part, Mapping[str, Any]]]) -> Counter[str]:
    """The number of examples of each label in all parts."""
    return sum((_part_counts(part, sources) for part in PARTS), Counter[str]())


def _part_counts(part: Part, sources: Sequence[Mapping[Part, Mapping[str, Any]]]) -> Counter[str]:
    """The number of examples of each label in `part`. Parts that were split off the training data count as training."""
    counts: Counter[str] = Counter()
    for parts in sources:
        for name, described in parts.items():
            if part == ("train" if described["read"] is None else name):
                counts.update(described["labels"])
    return +counts


def _unknown_label_error(part: Part, unknown: Counter[str], names: list[str]) -> DataError:
    label, rows = unknown.most_common(1)[0]
    listed = list_excerpt([repr(name) for name in unknown], MAX_LISTED_NAMES)
    return DataError(
        f"The {part} data have {listed} as label, which the training data have not ({label!r}: {rows} rows)."
        f"{did_you_mean(label, names)} Correct the labels, or take these rows out of data.{part}."
    )
