"""Hypothesis strategies for settings, made from the dataclasses, so that a new setting cannot be forgotten."""

from __future__ import annotations

import dataclasses
import types
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from hypothesis import strategies as st

from passingloop.config.bounds import Limit, Span, one_character
from passingloop.config.build import Options, section_classes
from passingloop.config.data import DataConfig, MixData

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
NAMES = st.from_regex(r"[A-Za-z0-9_-]{1,64}", fullmatch=True)
SIZES_AND_TIMES = st.sampled_from(["16G", "800M", "30", "4:00:00", "2-12", "gs://bucket/models", "validation/accuracy"])
QUOTES = st.sampled_from(["'", '"', "\\", "|"])
NUMBERS = st.sampled_from([0, 1, 2, 3, 0.0, 0.1, 0.5, 0.9, 1e-8, 3e-4, 1000, 2**31])


def values(hint: Any, limit: Limit | None = None) -> st.SearchStrategy[Any]:
    """Values of the type `hint`, within `limit` if they are no words."""
    if hint is MixData:
        return st.builds(
            _mix, st.dictionaries(NAMES, values(DataConfig), min_size=1, max_size=2), NUMBERS.filter(lambda n: n > 0)
        )
    if hint is DataConfig:
        return st.one_of(*map(values, section_classes(hint)))
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        hints = get_type_hints(hint)
        fields = dataclasses.fields(hint)
        return st.builds(hint, **{f.name: values(hints[f.name], f.metadata.get("limit")) for f in fields})
    if get_origin(hint) in (Union, types.UnionType):
        return st.one_of(*[values(part, limit) for part in get_args(hint)])
    if get_origin(hint) is Literal:
        return st.sampled_from(get_args(hint))
    if get_origin(hint) is tuple:
        return st.lists(values(get_args(hint)[0], limit), max_size=3).map(tuple)
    if get_origin(hint) is Mapping:
        return st.dictionaries(NAMES, values(get_args(hint)[1], limit), max_size=3)
    plain: dict[Any, st.SearchStrategy[Any]] = {
        str: _limited_text(limit) if limit else TEXT,
        int: NUMBERS.filter(lambda n: isinstance(n, int)),
        float: NUMBERS.map(float),
        bool: st.booleans(),
        Path: TEXT.map(lambda text: Path("/", text.replace("\0", ""))),
        type(None): st.none(),
        Span: st.tuples(st.integers(1, 99), st.integers(0, 99)).map(lambda ends: Span(f"{ends[0]}-{sum(ends)}")),
    }
    return plain[hint].filter(limit.holds) if limit and hint in (int, float) else plain[hint]


def _limited_text(limit: Limit) -> st.SearchStrategy[str]:
    return QUOTES if limit is one_character else (NAMES | SIZES_AND_TIMES).filter(limit.holds)


def _mix(sources: dict[str, Any], weight: float) -> MixData:
    """A mix with a weight for the first of its sources."""
    return MixData(source="mix", sources=Options(sources), weights=Options({next(iter(sources)): float(weight)}))


def leaves(cls: type, prefix: str = "") -> Iterator[tuple[str, Any, Limit | None]]:
    """Every setting by its full name, its type and its limit."""
    hints = get_type_hints(cls)
    for spec in dataclasses.fields(cls):
        sections = section_classes(hints[spec.name])
        for section in sections:
            yield from leaves(section, f"{prefix}{spec.name}.")
        if not sections:
            yield prefix + spec.name, hints[spec.name], spec.metadata.get("limit")
