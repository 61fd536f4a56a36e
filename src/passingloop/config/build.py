"""A mapping, as YAML and the command line give it, becomes frozen dataclasses; and back."""

from __future__ import annotations

import dataclasses
import difflib
import json
import math
import os
import types
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from passingloop.config.bounds import Limit, Span
from passingloop.errors import ConfigError

Settings = TypeVar("Settings")


def load_class(name: str) -> Any:
    """The class with the dotted `name`; its module is imported."""
    module, _, cls = name.rpartition(".")
    return getattr(import_module(module), cls)


class NamedClasses(Mapping[str, Any]):
    """Classes by the choice of a group that leads to them, each imported when it is asked for."""

    def __init__(self, names: Mapping[str, str]) -> None:
        self._names = names

    def __getitem__(self, choice: str) -> Any:
        return load_class(self._names[choice])

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


class Options(dict[str, Any]):
    """A section whose keys are free; hashable, as settings are, and not meant to be changed."""

    def __hash__(self) -> int:  # type: ignore[override]
        return hash(tuple(sorted(self.items())))


def build(cls: type[Settings], values: Mapping[str, Any], prefix: str = "") -> Settings:
    """An instance of the dataclass `cls` from `values`, whose keys must be exactly its fields; those with a default may
    be missing.

    Raises:
        ConfigError: a key is unknown or missing, or a value has the wrong type or is out of its limits. The
            message names the key in full, such as ``optim.lr``.
    """
    types_of = hints(cls)  # type: ignore[arg-type]  # classes are hashable
    for key in values:
        if key not in types_of:
            raise ConfigError(unknown_key(f"{prefix}{key}", [prefix + name for name in types_of]))
    built = {}
    for spec in dataclasses.fields(cls):  # type: ignore[arg-type]  # typeshed has no bound for "a dataclass type"
        key = prefix + spec.name
        if spec.name not in values and spec.default is not dataclasses.MISSING:
            continue
        if spec.name not in values:
            hint, limit = types_of[spec.name], spec.metadata.get("limit")
            raise ConfigError(
                f"{key} is missing. Give it a value: {limit.words if limit and hint is str else describe(hint)}."
            )
        built[spec.name] = _value(types_of[spec.name], values[spec.name], key, spec.metadata.get("limit"))
    return cls(**built)


def to_plain(settings: Any) -> dict[str, Any]:
    """The nested dict, of JSON types only, that `build` turns into `settings` again.

    A setting that came later than others has a default, and is left out where it has that: so the signatures of earlier
    runs and the keys of their caches stay what they were.
    """
    values = {spec: getattr(settings, spec.name) for spec in dataclasses.fields(settings)}
    return {spec.name: _plain(value) for spec, value in values.items() if value != spec.default}


def leaves(section: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """The settings of nested sections by their full names, such as ``optim.lr``."""
    for name, value in section.items():
        if isinstance(value, Mapping):
            yield from leaves(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


@cache
def hints(cls: type) -> dict[str, Any]:
    """The types of the fields of a dataclass. Evaluating their annotations takes 0.1 ms."""
    return {name: hint for name, hint in get_type_hints(cls).items() if get_origin(hint) is not ClassVar}


def unknown_key(key: str, known: Iterable[str]) -> str:
    """The sentence for a key that does not exist, with the nearest in the same section, or anywhere."""
    all_keys = list(known)
    section, _, name = key.rpartition(".")
    siblings = [other for other in all_keys if other.rpartition(".")[0] == section]
    same = [other for other in all_keys if other == key.lower()]
    near = same or _named(name, all_keys, 1.0) or _named(name, siblings, 0.6) or _named(name, all_keys, 0.75)
    if not siblings and section in all_keys:
        near = [section]  # optim.lr.x: lr has no parts
    near = near or difflib.get_close_matches(key, [other for other in all_keys if other != section], n=1, cutoff=0.85)
    if near:
        return f"There is no setting {key}. Did you mean {' or '.join(near)}?"
    if section and siblings:
        names = ", ".join(other.rpartition(".")[2] for other in siblings)
        return f"There is no setting {key}. {section} has: {names}."
    return f"There is no setting {key}. `--help` shows all there are."


def did_you_mean(word: str, known: Iterable[str], cutoff: float = 0.6) -> str:
    """`` Did you mean …?`` with the nearest of `known`, or nothing when none is near."""
    near = difflib.get_close_matches(word, list(known), n=1, cutoff=cutoff)
    return f" Did you mean {near[0]}?" if near else ""


def describe(hint: Any) -> str:
    """A type in words, such as "a whole number, or null"."""
    if is_section(hint) or get_origin(hint) is Mapping:
        return "a section of settings"
    if get_origin(hint) in (Union, types.UnionType):
        parts = dict.fromkeys(describe(part) for part in get_args(hint))
        return ", or ".join(part for part in parts if f"{part}, or a list of such" not in parts)
    if get_origin(hint) is Literal:
        words = [str(choice) for choice in get_args(hint)]
        return " or ".join(words) if len(words) < 3 else "one of " + ", ".join(words)
    if get_origin(hint) is tuple:
        return f"{describe(get_args(hint)[0])}, or a list of such"
    names = {str: "text", int: "a whole number", float: "a number", bool: "true or false"}
    return {**names, Path: "a path", Span: "a range such as 1-8", type(None): "null"}[hint]


def _named(name: str, keys: Iterable[str], cutoff: float) -> list[str]:
    """Those of `keys` whose last part is nearest to `name`."""
    names = {key: key.rpartition(".")[2] for key in keys}
    nearest = difflib.get_close_matches(name.lower(), names.values(), n=1, cutoff=cutoff)
    return [key for key, last in names.items() if last in nearest]


def is_section(hint: Any) -> bool:
    """Whether a setting with the type `hint` is a section of settings."""
    return all(dataclasses.is_dataclass(option) for option in _options(hint))


def section_classes(hint: Any) -> tuple[type, ...]:
    """All dataclasses that a section with the type `hint` may be of; none if it is no section."""
    if not is_section(hint):
        return ()
    return tuple(cls for option in _options(hint) for cls in _choices(option).values())


def choice(cls: type) -> str:
    """The choice of a group that leads to the section class `cls`: the one value of its `source` or `kind`, or ""."""
    words = get_args(hints(cls).get(_tag(cls)))
    return str(words[0]) if len(words) == 1 else ""


def _tag(cls: type) -> str:
    return "source" if "source" in hints(cls) else "kind"


def section(hint: Any, value: Any, key: str) -> Any:
    """The instance of that class whose `source` or `kind` is that of `value`, among those that the type `hint` allows.

    A value without it belongs to the first class, if that has a default for it.

    Raises:
        ConfigError: as `build`; also if it is none of theirs.
    """
    options = _options(hint)
    if not isinstance(value, Mapping):
        raise ConfigError(
            f"You set {key}={value}, but {key} is a section. Set one of its keys, such as "
            f"{key}.{dataclasses.fields(options[0])[0].name}."
        )
    by_choice = {choice: choices for choices in map(_choices, options) for choice in choices}
    if "" in by_choice:
        return build(by_choice[""][""], value, prefix=f"{key}.")
    tag = _tag(options[0])
    [default] = [spec.default for spec in dataclasses.fields(options[0]) if spec.name == tag]
    chosen = value.get(tag, None if default is dataclasses.MISSING else default)
    if chosen not in by_choice:
        raise ConfigError(
            f"You set {key}.{tag}={_shown(chosen)}, but {key}.{tag} must be one of {', '.join(by_choice)}."
            f"{did_you_mean(str(chosen), by_choice)}"
        )
    return build(by_choice[chosen][chosen], value, prefix=f"{key}.")


def _options(hint: Any) -> tuple[Any, ...]:
    """The types of a union; of another type, that alone."""
    return get_args(hint) if get_origin(hint) in (Union, types.UnionType) else (hint,)


def _choices(cls: type) -> Mapping[str, type]:
    """The classes for which the dataclass `cls` stands, by the `source` or `kind` that chooses them.

    Its own attribute `CHOICES` names them, if it is the base of several; to look one up may import it. A class of one
    choice stands for itself, and so does, under no word, one that is no choice.
    """
    own: Mapping[str, type] | None = vars(cls).get("CHOICES")
    return {choice(cls): cls} if own is None else own


def _value(hint: Any, value: Any, key: str, limit: Limit | None) -> Any:
    if is_section(hint):
        return section(hint, value, key)
    if get_origin(hint) is tuple:
        parts = [] if value is None else value if isinstance(value, list | tuple) else [value]
        return tuple(_value(get_args(hint)[0], part, key, limit) for part in parts)
    if get_origin(hint) is Mapping:
        return _mapping(get_args(hint)[1], value, key, limit)
    options = _options(hint)
    lists = [option for option in options if get_origin(option) is tuple]
    if lists and isinstance(value, list | tuple):
        return _value(lists[0], value, key, limit)
    options = tuple(option for option in options if option not in lists)
    for option in sorted(options, key=lambda option: option is not type(value)):  # of text or a number, what it is
        fits, converted = _convert(option, value)
        if fits:
            literal = get_origin(option) is Literal or converted is None
            if limit is not None and not literal and not limit.holds(converted):
                raise ConfigError(f"You set {key}={_shown(value)}, but {key} must be {limit.words}.")
            return converted
    raise ConfigError(f"You set {key}={_shown(value)}, but {key} must be {describe(hint)}.{_advice(hint, value, key)}")


def _mapping(hint: Any, value: Any, key: str, limit: Limit | None) -> Mapping[str, Any]:
    """`value` with each of its values checked; read-only, and hashable as settings are."""
    if not isinstance(value, Mapping):
        raise ConfigError(f"You set {key}={_shown(value)}, but {key} is a section. Add to it: +{key}.NAME=VALUE.")
    return Options({str(name): _value(hint, part, f"{key}.{name}", limit) for name, part in value.items()})


def _convert(hint: Any, value: Any) -> tuple[bool, Any]:
    """Whether `value` is of the type `hint`, and the value as that type; only loss-free conversions."""
    if hint is type(None):
        return value is None, None
    if get_origin(hint) is Literal:
        # YAML reads the word none as text but null, ~ as None; a choice called "none" accepts both.
        value = "none" if value is None else value
        return value in get_args(hint) and isinstance(value, str), value
    if isinstance(value, str) and hint in (bool, int, float):
        value = _number_in(value)
    if isinstance(value, bool) or hint is bool:
        return hint is bool and isinstance(value, bool), value
    if hint is int:
        whole = isinstance(value, int) or (isinstance(value, float) and value.is_integer())
        return whole, int(value) if whole else value
    if hint is float:
        number = _as_float(value)
        return not math.isnan(number), number
    if hint is Span:
        span = isinstance(value, str) and Span.PATTERN.fullmatch(value) is not None
        return span, Span(value) if span else value
    if hint is Path:
        path = isinstance(value, str) and value != ""
        return path, Path(os.path.expanduser(value)) if path else value  # noqa: PTH111  # expanduser() may raise
    assert hint is str, f"settings have no fields of type {hint}"
    # name=123 is read as a number by YAML; as text it is what was typed.
    return isinstance(value, str | int), str(value)


def _number_in(text: str) -> Any:
    """The number or truth value that `text` spells, as it does when it is an environment variable's; else `text`."""
    try:
        return json.loads(text.lower())
    except ValueError:
        return text


def _as_float(value: Any) -> float:
    if not isinstance(value, int | float):
        return math.nan
    try:
        return float(value)
    except OverflowError:  # a whole number of more than 308 digits
        return math.inf


def _advice(hint: Any, value: Any, key: str) -> str:
    options = _options(hint)
    if str in options and isinstance(value, bool | float):
        return f" In quotes it is text: '{key}=\"{_shown(value)}\"'."
    if value is None:
        return " Give it one, or leave it out for its default."
    words = [str(w) for option in options if get_origin(option) is Literal for w in get_args(option)]
    return did_you_mean(str(value), words)


def _shown(value: Any) -> str:
    if value is None:
        return "null"
    return str(value).lower() if isinstance(value, bool) else str(value)


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value):
        return to_plain(value)
    if isinstance(value, tuple):
        return [_plain(part) for part in value]
    if isinstance(value, Mapping):
        return {name: _plain(part) for name, part in value.items()}
    return str(value) if isinstance(value, Path | Span) else value
