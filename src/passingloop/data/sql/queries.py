"""A query of the configuration: what it is, how a database gets it, and which columns and rows come back."""

from __future__ import annotations

import datetime
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from passingloop.config.data import Part
from passingloop.data.rows.columns import Column
from passingloop.data.sql.connection import Connection, attributes
from passingloop.data.sql.conversion import check_fit
from passingloop.data.sql.errors import query_error
from passingloop.data.sql.language import Value, bind_parameters, is_query, parameter_names, table_parts
from passingloop.data.sql.results import can_read_blocks, read_blocks, read_rows
from passingloop.data.sql.settings import SqlData
from passingloop.data.sql.types import schema_of_result
from passingloop.errors import ConfigError

SHOWN = 60
"""Characters of a query in messages and in the data's fingerprint."""

SAMPLE = 200
"""Rows that are looked at for the mean size of all."""

SIZE_SECONDS = 5
"""For the database to count its rows."""

FORMAT = 1
"""Version of what is kept of a query; a new one makes old snapshots unused."""

Statement = tuple[str, tuple[Value, ...]]
"""A text with a `?` for each of the values."""


@dataclass(frozen=True, slots=True)
class Query:
    """A query, or a table with the columns that are wanted of it."""

    part: Part
    typed: str
    table: tuple[str, ...]
    """Schema and name; empty for a query."""
    columns: tuple[Column, ...]
    parameters: Mapping[str, Value]

    @property
    def setting(self) -> str:
        """The setting as typed, long ones cut."""
        return f"data.{self.part}={_shorten(self.typed)}"

    @property
    def piece(self) -> str:
        """Its name in the data's fingerprint."""
        return self.typed if _shorten(self.typed) == self.typed else f"{_shorten(self.typed)} ({self.sha256[:8]})"

    @property
    def names(self) -> list[str]:
        """The parameters it uses."""
        return [] if self.table else parameter_names(self.typed)

    @property
    def sha256(self) -> str:
        """Of its text as typed."""
        return hashlib.sha256(self.typed.encode()).hexdigest()

    def key(self, config: SqlData) -> str:
        """What a snapshot depends on: database, text, values, and of a table the columns."""
        taken = [column.name for column in self.columns] if self.table else dict(self.parameters)
        described = [FORMAT, sorted(attributes(config).items()), self.typed, taken]
        return hashlib.sha256(json.dumps(described).encode()).hexdigest()[:32]

    def check(self, connection: Connection) -> None:
        """See that it can be run and has what is wanted, without reading its rows where that can be.

        Raises:
            ConfigError, DataError: it cannot be run, or lacks what is wanted of it.
            MissingError: the database has gone, or takes too long.
        """
        import pyodbc

        text, values = self._full_statement(connection)
        try:
            cursor = connection.raw.cursor()
            try:
                cursor.execute(_empty_statement(text) if connection.driver.wraps else text, *values)
            except pyodbc.Error as error:
                if error.args[0] != "42S21":  # MariaDB has no subqueries whose columns share a name
                    raise
                cursor.execute(text, *values)
            schema = self._schema(cursor.description, connection, (text, values))
            cursor.close()
        except pyodbc.Error as error:
            tables = connection.tables() if self.table else []
            raise query_error(error, self.setting, connection.password, 0, tables) from None
        check_fit(schema, self.columns, self.setting)

    def read(self, connection: Connection) -> tuple[pa.Schema, Iterator[pa.RecordBatch]]:
        """The columns, and the rows as they come.

        Raises:
            ConfigError, DataError, MissingError: see `check`; also while the rows come.
        """
        import pyodbc

        if self.table:
            self.check(connection)  # knows what columns there are
        text, values = self._column_statement(connection)
        try:
            cursor = connection.raw.cursor().execute(text, *values)
            schema = self._schema(cursor.description, connection, (text, values))
        except pyodbc.Error as error:
            raise query_error(error, self.setting, connection.password, 0) from None
        check_fit(schema, self.columns, self.setting)
        blocks = connection.driver.blocks and can_read_blocks(schema)
        batches = (read_blocks if blocks else read_rows)(cursor, schema, self.setting)
        return schema, self._translate_errors(batches, connection)

    def size(self, connection: Connection) -> int | None:
        """About how many bytes its rows have: their number, times the mean of the first ones. None if it takes long."""
        import pyodbc

        text, values = self._column_statement(connection)
        sample = f"SELECT * FROM ({text}\n) passingloop LIMIT {SAMPLE}"  # noqa: S608  # the user's own query
        count = f"SELECT COUNT(*) FROM ({text}\n) passingloop"  # noqa: S608  # the user's own query
        try:
            connection.limit_statement_seconds(SIZE_SECONDS)
            rows = connection.raw.execute(sample, *values).fetchall()
            number = connection.raw.execute(count, *values).fetchval()
        except pyodbc.Error:
            return None
        return int(number * sum(len(str(value)) for row in rows for value in row) / max(1, len(rows)))

    def _full_statement(self, connection: Connection) -> Statement:
        if self.table:
            return f"SELECT * FROM {connection.quote(*self.table)}", ()  # noqa: S608  # quoted
        return bind_parameters(self.typed, self.parameters, self.setting, backslashes=connection.driver.backslashes)

    def _column_statement(self, connection: Connection) -> Statement:
        if not self.table:
            return self._full_statement(connection)
        columns = ", ".join(connection.quote(name) for name in dict.fromkeys(column.name for column in self.columns))
        return f"SELECT {columns} FROM {connection.quote(*self.table)}", ()  # noqa: S608  # quoted

    def _schema(self, description: Sequence[Sequence[Any]], connection: Connection, statement: Statement) -> pa.Schema:
        """The types of the columns, `description` being pyodbc's."""
        zoned = [False] * len(description)
        if connection.driver.type_of and any(kind is datetime.datetime for _, kind, *_ in description):
            text, values = _types_statement(statement, connection.driver.type_of, len(description))
            zoned = [kind == "timestamp with time zone" for kind in connection.raw.execute(text, *values).fetchone()]
        return schema_of_result(description, zoned, self.setting)

    def _translate_errors(self, batches: Iterator[pa.RecordBatch], connection: Connection) -> Iterator[pa.RecordBatch]:
        import pyodbc

        rows = 0
        try:
            for batch in batches:
                rows += batch.num_rows
                yield batch
        except pyodbc.Error as error:
            raise query_error(error, self.setting, connection.password, rows) from None


def queries(config: SqlData, part: Part, columns: tuple[Column, ...]) -> tuple[Query, ...]:
    """Those that `data.<part>` names, each once.

    Raises:
        ConfigError: one is empty, or neither a query nor a table's name.
    """
    return tuple(_query(config, part, typed.strip(), columns) for typed in dict.fromkeys(getattr(config, part)))


def _query(config: SqlData, part: Part, typed: str, columns: tuple[Column, ...]) -> Query:
    if not typed:
        raise ConfigError(f"You set data.{part} to an empty text. Give a query or a table, such as questions.")
    table = () if is_query(typed) else tuple(table_parts(typed, f"data.{part}={_shorten(typed)}"))
    return Query(part, typed, table, columns, config.parameters)


def _empty_statement(text: str) -> str:
    """The same columns, and no rows. The line ends a comment at the end of `text`."""
    return f"SELECT * FROM ({text}\n) passingloop WHERE 1 = 0"  # noqa: S608  # the user's own query


def _types_statement(statement: Statement, function: str, columns: int) -> Statement:
    """One row with the names of the columns' types, also where there are no rows."""
    names = [f"c{number}" for number in range(columns)]
    asked = ", ".join(function.format(name) for name in names)
    none = f"({_empty_statement(statement[0])}) none({', '.join(names)})"
    return f"SELECT {asked} FROM (SELECT 1) one LEFT JOIN {none} ON true", statement[1]  # noqa: S608  # our own names


def _shorten(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= SHOWN else f"{line[:SHOWN]}…"
