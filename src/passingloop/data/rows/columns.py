"""Which columns of a file are read, and to which schema they lead."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

from passingloop.config.data import NamedData
from passingloop.config.settings import Task
from passingloop.data.source import CHAT, LABELLED, PLAIN


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
