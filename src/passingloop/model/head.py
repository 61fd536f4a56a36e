"""The head of a classifier: which classes of a checkpoint's head are classes of the data, by their names."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from passingloop.text import list_excerpt

Load = Callable[[int], tuple[Any, Mapping[str, Any]]]
"""Loads the model with a head for so many classes; returns it, and transformers' report of what was loaded."""

LISTED_NAMES = 4
"""Classes that a sentence lists; of the others it has the count."""


@dataclass(frozen=True, kw_only=True, slots=True)
class HeadClasses:
    """The classes of the data, and those of a checkpoint's head."""

    names: Sequence[str]
    own_names: Sequence[str]
    """The names of the checkpoint's classes."""
    sources: Sequence[int | None]
    """For each of `names` the number of the same class in the checkpoint; None for a class that it does not have."""
    by_number: bool
    """Whether names carry no meaning, so that classes were matched by their numbers."""

    @property
    def is_as_stored(self) -> bool:
        """Whether the head can be used as it is in the checkpoint."""
        return list(self.sources) == list(range(len(self.own_names)))

    @property
    def reused(self) -> int:
        """The number of `names` that the checkpoint has."""
        return sum(source is not None for source in self.sources)

    @property
    def description(self) -> str:
        """How the head of the checkpoint is used, in words."""
        own = list_excerpt(self.own_names, LISTED_NAMES)
        if self.reused == 0:
            return f"new: the checkpoint's head has other classes ({own})"
        if self.by_number:
            return f"of the checkpoint, whose classes ({own}) are taken to be those of the data in their order"
        if self.reused < len(self.names):
            return f"of the checkpoint for {self.reused} of the {len(self.names)} classes, by name; new for the others"
        return f"of the checkpoint for all {self.reused} classes, by name"


def match_classes(names: Sequence[str], own_names: Sequence[str]) -> HeadClasses:
    """Find each of `names` among the names of a checkpoint's classes.

    A name matches the same name, or else one that differs in case, surrounding space or Unicode form only, unless
    several do. transformers' default names (LABEL_0, LABEL_1, …) carry no meaning, nor do the numbers from 0 as labels
    of the data: classes are then matched by number, if there are as many.
    """
    numbers = range(len(names))
    defaults = list(default_names(len(own_names)).values())
    nameless = list(names) == [str(number) for number in numbers] or list(own_names) == defaults
    by_number = nameless and not set(names) & set(own_names)
    if by_number:
        sources: list[int | None] = [number if len(names) == len(own_names) else None for number in numbers]
    else:
        sources = _sources_by_name(names, own_names)
    return HeadClasses(names=names, own_names=own_names, sources=sources, by_number=by_number)


def default_names(count: int) -> dict[int, str]:
    """The names that transformers gives to classes without names."""
    return {number: f"LABEL_{number}" for number in range(count)}


def _sources_by_name(names: Sequence[str], own_names: Sequence[str]) -> list[int | None]:
    exact = {name: number for number, name in enumerate(own_names)}
    folded_names = [_folded(name) for name in own_names]
    folded = {name: number for number, name in enumerate(folded_names) if folded_names.count(name) == 1}
    ambiguous = {name for name in map(_folded, names) if [_folded(other) for other in names].count(name) > 1}
    return [exact.get(name, None if _folded(name) in ambiguous else folded.get(_folded(name))) for name in names]


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", name).strip().casefold()


def load_with_head(classes: HeadClasses, load: Load) -> tuple[Any, Mapping[str, Any]]:
    """The model with a head for `classes`, of which those that the checkpoint has come from its head.

    Returns the model, and transformers' report, in which a head with new rows is a mismatch. Its entry "unread" has the
    parameters of the checkpoint's head that do not fit the checkpoint's own configuration.
    """
    count, own_count = len(classes.names), len(classes.own_names)
    model, report = load(count)
    if classes.is_as_stored:
        return model, {**report, "unread": {name for name, *_ in report["mismatched_keys"]}}
    if count != own_count and not report["mismatched_keys"] and not report["missing_keys"]:
        return model, _with_new_rows(model, report, load, count)
    if classes.reused == 0 and count != own_count:
        return model, {**report, "unread": set()}
    # A parameter with a row per class does not fit a head of another size. So of two heads one has the checkpoint's
    # rows, that of the checkpoint's size, and the other has new rows.
    same_count = count == own_count
    other, other_report = load(count + 1 if same_count else own_count)
    stored, stored_report = (model, report) if same_count else (other, other_report)
    fresh, fresh_report = (other, other_report) if same_count else (model, report)
    unread = {name for name, *_ in stored_report["mismatched_keys"]}
    resized = [entry for entry in fresh_report["mismatched_keys"] if entry[0] not in unread]
    with torch.no_grad():
        for name, shape, other_shape in resized:
            dim = next(dim for dim, size in enumerate(shape) if size != other_shape[dim])
            rows = _rows(stored.get_parameter(name), fresh.get_parameter(name), classes.sources, dim)
            model.get_parameter(name).copy_(rows)
    new = [entry for entry in fresh_report["mismatched_keys"] if classes.reused < count or entry[0] in unread]
    return model, {**report, "mismatched_keys": new, "unread": unread}


def _with_new_rows(model: Any, report: Mapping[str, Any], load: Load, count: int) -> Mapping[str, Any]:
    """Initialise a head that fits `count` classes by chance: the checkpoint's configuration has another number of them,
    so it is not known which its rows are."""
    larger, larger_report = load(count + 1)
    with torch.no_grad():
        for name, shape, other_shape in larger_report["mismatched_keys"]:
            dim = next(dim for dim, size in enumerate(shape) if size != other_shape[dim])
            model.get_parameter(name).copy_(larger.get_parameter(name).narrow(dim, 0, count))
    unread = {name for name, *_ in larger_report["mismatched_keys"]}
    return {**report, "mismatched_keys": larger_report["mismatched_keys"], "unread": unread}


def _rows(own: Tensor, new: Tensor, sources: Sequence[int | None], dim: int) -> Tensor:
    """For each class its row of the checkpoint's tensor `own`, or of `new` if the checkpoint does not have it."""
    rows = [
        (new.select(dim, number) if source is None else own.select(dim, source))
        for number, source in enumerate(sources)
    ]
    return torch.stack(rows, dim)
