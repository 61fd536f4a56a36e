"""Evidence as JSON, on its way from a node."""

from __future__ import annotations

import dataclasses
import types
from collections.abc import Mapping
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

Evidence = TypeVar("Evidence")


def to_json(evidence: Any) -> dict[str, Any]:
    """A dataclass as nested JSON values."""
    return dataclasses.asdict(evidence)


def from_json(cls: type[Evidence], values: Mapping[str, Any]) -> Evidence:
    """The instance of the dataclass `cls` that `to_json` has made `values` of.

    Raises:
        KeyError, TypeError: they are of another version of the class.
    """
    hints = get_type_hints(cls)
    names = [spec.name for spec in dataclasses.fields(cls)]  # type: ignore[arg-type]
    return cls(**{name: _value(hints[name], values[name]) for name in names})


def _value(hint: Any, value: Any) -> Any:
    if get_origin(hint) in (Union, types.UnionType):
        [hint] = [option for option in get_args(hint) if option is not type(None)]
        return None if value is None else _value(hint, value)
    if dataclasses.is_dataclass(hint):
        return from_json(hint, value)  # type: ignore[arg-type]
    if get_origin(hint) is tuple:
        return tuple(_value(get_args(hint)[0], item) for item in value)
    if get_origin(hint) is dict:
        return {name: _value(get_args(hint)[1], item) for name, item in value.items()}
    return value
