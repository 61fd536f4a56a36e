"""Which columns of the data are read, to which schema they lead, and what a chat in one must be."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

from passingloop.config.data import NamedData
from passingloop.config.settings import Task
from passingloop.data.source import CHAT, LABELLED, UNLABELLED
from passingloop.errors import DataError
from passingloop.tasks.task import Kind, learning_task

TYPES: dict[Kind, pa.DataType] = {
    "text": UNLABELLED.field("text").type,
    "messages": CHAT.field("messages").type,
    "label": LABELLED.field("label").type,
    "labels": pa.list_(pa.string()),
    "number": pa.string(),
}
"""What a source makes of each kind of column. Numbers are text, as written: the task says which it can use."""

JSON_TYPES = {
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

    field: Kind
    """What it holds."""

    name: str
    """Its name in the data."""

    @property
    def setting(self) -> str:
        """The setting as typed, such as `data.text=body`."""
        return f"data.{self.field if self.field in ('text', 'messages') else 'label'}={self.name}"


def schema_of(config: NamedData, task: Task) -> pa.Schema:
    """The schema of the columns that `task` needs: named after what they hold; several numbers are `number`,
    `number1`, `number2` …"""
    kinds = [column.field for column in wanted_columns(config, task)]
    names = [f"{kind}{kinds[:place].count(kind) or ''}" for place, kind in enumerate(kinds)]
    fields = [(name, TYPES[kind]) for name, kind in zip(names, kinds, strict=True)]
    return pa.schema([("row", pa.int64()), *fields])


def wanted_columns(config: NamedData, task: Task) -> tuple[Column, ...]:
    """The columns of the data that `task` needs, in the order of the schema's fields after `row`."""
    return tuple(Column(kind, name) for kind, name in learning_task(task).columns(config))


def kind_of(value: object) -> str:
    """What a JSON value is, in words."""
    return JSON_TYPES.get(type(value), "an object")


def check_chat(value: object, column: Column) -> list[dict[str, str]] | None:
    """The messages of `value` with role and content only; None stays None.

    Raises:
        DataError: it is no chat; where it stands is for the caller to add.
    """
    if value is None:
        return None
    if not isinstance(value, list) or not value:
        kind = "an empty list" if value == [] else kind_of(value)
        raise DataError(
            f"{column.name} ({column.setting}) is {kind}, but must be a list of messages, "
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
