"""The columns that a task reads from the data, and their schema."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

from passingloop.config.data import NamedData
from passingloop.config.settings import Task
from passingloop.data.source import CHAT, LABELLED, UNLABELLED
from passingloop.tasks.task import ColumnKind, learning_task

TYPE_OF_KIND: dict[ColumnKind, pa.DataType] = {
    "text": UNLABELLED.field("text").type,
    "messages": CHAT.field("messages").type,
    "label": LABELLED.field("label").type,
    "labels": pa.list_(pa.string()),
    "number": pa.string(),
}
"""The Arrow type of each kind of column. Numbers stay text, as written; the task parses them."""

JSON_TYPE_NAMES = {
    type(None): "null",
    bool: "true or false",
    int: "a number",
    float: "a number",
    str: "text",
    list: "a list",
}


@dataclass(frozen=True, slots=True)
class Column:
    """A configured column."""

    field: ColumnKind
    """What it holds."""

    name: str
    """Its name in the data."""

    @property
    def setting(self) -> str:
        """The setting as typed, such as `data.text=body`."""
        return f"data.{self.field if self.field in ('text', 'messages') else 'label'}={self.name}"


def schema_of(config: NamedData, task: Task) -> pa.Schema:
    """The schema of a source's batches: `row`, and the columns that `task` needs, named by what they hold.

    Several columns of numbers are named `number`, `number1`, `number2` and so on.
    """
    kinds = [column.field for column in wanted_columns(config, task)]
    names = [f"{kind}{kinds[:place].count(kind) or ''}" for place, kind in enumerate(kinds)]
    fields = [(name, TYPE_OF_KIND[kind]) for name, kind in zip(names, kinds, strict=True)]
    return pa.schema([("row", pa.int64()), *fields])


def wanted_columns(config: NamedData, task: Task) -> tuple[Column, ...]:
    """The columns of the data that `task` needs, in the order of the schema's fields after `row`."""
    return tuple(Column(kind, name) for kind, name in learning_task(task).columns(config))


def json_type_name(value: object) -> str:
    """The type of a JSON value, for messages."""
    return JSON_TYPE_NAMES.get(type(value), "an object")
