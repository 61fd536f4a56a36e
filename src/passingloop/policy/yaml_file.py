"""YAML as a tree that knows the line of each key, with every scalar as the text that stands in the file.

YAML turns ``12:30`` and ``4:00:00`` into numbers, and ``no`` and ``on`` into truth values. Here nothing is turned into
anything: a user may be called ``no``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from passingloop.errors import ConfigError

LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""libyaml where PyYAML has it: 2,000 users take 0.1 s instead of 1 s."""

DEEPEST = 20

MANY = 20
"""Problems that are shown at once."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A key or an item of a list, with what it leads to."""

    path: tuple[str, ...]
    line: int
    node: Any

    @property
    def name(self) -> str:
        """The last key."""
        return self.path[-1]

    def __str__(self) -> str:
        return ".".join(self.path)


@dataclass(slots=True)
class Problems:
    """What is wrong with a file, in the order of its lines."""

    file: str
    found: list[tuple[int, str]] = field(default_factory=list)

    def add(self, line: int, sentence: str) -> None:
        self.found.append((line, sentence))

    def raise_any(self) -> None:
        """Raises ConfigError with a line for each problem, if there are any."""
        if not self.found:
            return
        lines = [f"{self.file}:{line}: {sentence}" for line, sentence in sorted(set(self.found))]
        more = [f"and {len(lines) - MANY} more problems."] if len(lines) > MANY else []
        raise ConfigError("\n".join([*lines[:MANY], *more]))


def read_tree(path: Path, problems: Problems) -> Entry:
    """The whole file.

    Raises:
        ConfigError: it cannot be read, or is no YAML mapping.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise ConfigError(f"{path}:{line}: this is no UTF-8 text. Save the file as UTF-8.") from None
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}. Give the path of a policy file.") from None
    try:
        if deep := _deep_line(text):
            raise ConfigError(f"{path}:{deep}: this is nested more than {DEEPEST} times. A policy needs 6.")
        node = yaml.compose(text, Loader=LOADER)
    except yaml.MarkedYAMLError as error:
        raise ConfigError(_syntax_problem(path, text, error)) from None
    except yaml.YAMLError as error:
        raise ConfigError(f"{path}:1: this is no YAML text: {' '.join(str(error).split())}.") from None
    if node is None:
        raise ConfigError(f"{path}:1: the file is empty. `slurm-policy export` writes one from a cluster.")
    if not isinstance(node, yaml.MappingNode):
        raise ConfigError(f"{path}:{_line(node)}: the file is no mapping. Begin it with a section such as `qos:`.")
    return Entry((), 1, node)


def _deep_line(text: str) -> int | None:
    """The line at which the text is nested too deeply to be composed: libyaml would end the process."""
    depth = 0
    for event in yaml.parse(text, Loader=LOADER):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > DEEPEST:
            return int(event.start_mark.line) + 1
    return None


def _syntax_problem(path: Path, text: str, error: Any) -> str:
    mark = error.problem_mark or error.context_mark
    line = mark.line + 1 if mark else 1
    lines = text.splitlines()
    for number in (line, line - 1):
        before = lines[number - 1] if 0 < number <= len(lines) else ""
        if "\t" in before[: len(before) - len(before.lstrip())]:
            return f"{path}:{number}: there is a tab before the text. YAML knows spaces only. Replace it by spaces."
    if "expected a single document" in str(error):
        return f"{path}:{line}: a second document begins here. Keep all in one, without `---`."
    what = error.problem or error.context
    return f"{path}:{line}: this is no YAML: {what}. Look for a missing colon, quote or space on this line or above."


def _line(node: Any) -> int:
    return int(node.start_mark.line) + 1


def is_empty(entry: Entry) -> bool:
    """Whether nothing stands after the key."""
    plain = isinstance(entry.node, yaml.ScalarNode) and not entry.node.style
    return plain and entry.node.value in ("", "~", "null")


def is_mapping(entry: Entry) -> bool:
    """Whether it has keys below it."""
    return isinstance(entry.node, yaml.MappingNode)


def is_list(entry: Entry) -> bool:
    """Whether it has items below it."""
    return isinstance(entry.node, yaml.SequenceNode)


def entries(entry: Entry, problems: Problems) -> Iterator[Entry]:
    """The keys below an entry, each once. What stands twice is a problem, and so is what is no mapping."""
    if is_empty(entry):
        return
    if not is_mapping(entry):
        problems.add(entry.line, f"{entry} is no mapping: write keys, each with a colon, on lines below it.")
        return
    seen: dict[str, int] = {}
    for key, node in entry.node.value:
        line = _line(key)
        if not isinstance(key, yaml.ScalarNode):
            problems.add(line, f"a key of {entry} is a list or a mapping. Write a name.")
        elif key.value == "<<" and not key.style:
            problems.add(line, f"{entry} merges another mapping (<<), which is not supported. Write its keys out.")
        elif key.value in seen:
            where = f" of {entry}" if entry.path else ""
            first = seen[key.value]
            problems.add(line, f"`{key.value}`{where} is there twice, first on line {first}. Keep one of the two.")
        else:
            seen[key.value] = line
            yield Entry((*entry.path, key.value), line, node)


def below(entry: Entry, key: str) -> Entry | None:
    """What stands under the key, if the entry is a mapping that has it."""
    return next((one for one in entries(entry, Problems("")) if one.name == key), None)


def items(entry: Entry) -> Sequence[Entry]:
    """The items of a list."""
    return [Entry(entry.path, _line(node), node) for node in entry.node.value]


def text_of(entry: Entry, problems: Problems) -> str | None:
    """The value as it stands in the file; None, with a problem, if there is none or it is no single value."""
    if is_empty(entry):
        problems.add(entry.line, f"{entry} has no value. Give one, or leave the line out.")
        return None
    if not isinstance(entry.node, yaml.ScalarNode):
        what = "a list" if is_list(entry) else "a mapping"
        problems.add(entry.line, f"{entry} is {what}, but a single value is wanted.")
        return None
    return str(entry.node.value).strip()


def texts(entry: Entry, problems: Problems) -> list[str]:
    """The values of a list, or the one value that stands in its place."""
    if not is_list(entry):
        one = text_of(entry, problems)
        return [] if one is None else [one]
    if not items(entry):
        problems.add(entry.line, f"{entry} is an empty list. Leave the line out, or give it names.")
    values = [value for item in items(entry) if (value := text_of(item, problems)) is not None]
    for twice in sorted({value for value in values if values.count(value) > 1}):
        problems.add(entry.line, f"{entry} has `{twice}` twice. Keep one of the two.")
    return values
