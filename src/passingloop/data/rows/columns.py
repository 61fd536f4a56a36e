"""Which columns of the data are read, and to which schema they lead."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

from passingloop.config.data import NamedData
from passingloop.config.settings import Task
from passingloop.data.source import CHAT, LABELLED, PLAIN
from passingloop.tasks.task import Kind, learning_task

TYPES: dict[Kind, pa.DataType] = {
    "text": PLAIN.field("text").type,
    "messages": CHAT.field("messages").type,
    "label": LABELLED.field("label").type,
    "labels": pa.list_(pa.string()),
    "number": pa.string(),
}
"""What a source makes of each kind of column. Numbers are text, as written: the task says which it can use."""


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
