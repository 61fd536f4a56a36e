"""Which columns are read, to which schema they lead, and what a value of them must be."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

from passingloop.config.data import NamedData
from passingloop.config.settings import Task
from passingloop.data.source import CHAT, LABELLED, PLAIN
from passingloop.errors import DataError

KINDS = {
    type(None): "null",
    bool: "true or false",
    int: "a number",
    float: "a number",
    str: "text",
    list: "a list",
}


@dataclass(frozen=True, slots=True)
class Column:
    """A column that the configuration names."""

    field: str
    """`text`, `label` or `messages`: its name in the schema, and after `data.` that of the setting."""

    name: str
    """Its name in the file."""

    @property
    def setting(self) -> str:
        """The setting as typed, such as `data.text=body`."""
        return f"data.{self.field}={self.name}"


def schema_of(config: NamedData, task: Task) -> pa.Schema:
    """The schema that `task` and `data.messages` ask for."""
    if task == "classification":
        return LABELLED
    return PLAIN if config.messages is None else CHAT


def wanted_columns(config: NamedData, task: Task) -> tuple[Column, ...]:
    """The columns of the file, in the order of the schema's fields after `row`."""
    if task == "classification":
        return Column("text", config.text), Column("label", config.label)
    return (Column("text", config.text) if config.messages is None else Column("messages", config.messages),)


def kind_of(value: object) -> str:
    """What a JSON value is, in words."""
    return KINDS.get(type(value), "an object")


def check_chat(value: object, column: Column) -> list[dict[str, str]] | None:
    """The messages of `value` with role and content only; None stays None.

    Raises:
        DataError: it is no chat; where it stands is for the caller to add.
    """
    if value is None:
        return None
    if not isinstance(value, list) or not value:
        found = "an empty list" if value == [] else kind_of(value)
        raise DataError(
            f"{column.name} ({column.setting}) is {found}, but must be a list of messages, "
            'such as [{"role": "user", "content": "…"}].'
        )
    return [_check_message(message, number) for number, message in enumerate(value, 1)]


def _check_message(message: object, number: int) -> dict[str, str]:
    if not isinstance(message, dict):
        raise DataError(f"message {number} is {kind_of(message)}, but must be an object with role and content.")
    for key in ("role", "content"):
        if key not in message:
            raise DataError(f"message {number} has no {key}. It has: {', '.join(map(str, message)) or 'nothing'}.")
        if not isinstance(message[key], str):
            raise DataError(f"message {number}: {key} is {kind_of(message[key])}, but must be text.")
    return {"role": message["role"], "content": message["content"]}
