"""A configured query or table: its SQL statements, and reading its columns and rows."""

from __future__ import annotations

import datetime
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from passingloop.config.data import Part
from passingloop.data.rows.chats import columns_beside
from passingloop.data.rows.columns import Column
from passingloop.data.sql.connection import Connection, connection_attributes
from passingloop.data.sql.conversion import check_column_types
from passingloop.data.sql.errors import query_error
from passingloop.data.sql.language import Value, bind_parameters, is_query, parameter_names, table_parts
from passingloop.data.sql.results import can_read_blocks, read_blocks, read_rows
from passingloop.data.sql.settings import SqlData
from passingloop.data.sql.types import result_schema
from passingloop.errors import ConfigError, DataError

MAX_CHARACTERS = 60
"""Characters of a query in messages and in the data's fingerprint."""

SAMPLE_ROWS = 200
"""Rows from which the mean size of a row is estimated."""

SIZE_SECONDS = 5
"""Time limit for counting the rows."""

FORMAT = 1
"""Version of the snapshots of queries. Snapshots with another version are not used."""

Statement = tuple[str, tuple[Value, ...]]
"""SQL text with a `?` for each value, and the values."""


@dataclass(frozen=True, slots=True)
class Query:
    """A query, or a table with its wanted columns."""

    part: Part
    typed: str
    table: tuple[str, ...]
    """The parts of the table's name; empty for a query."""
    columns: tuple[Column, ...]
    parameters: Mapping[str, Value]

    @property
    def setting(self) -> str:
        """The setting as typed; a long text is cut."""
        return f"data.{self.part}={_shorten(self.typed)}"

    @property
    def piece(self) -> str:
        """Its name in the fingerprint of the data."""
        return self.typed if _shorten(self.typed) == self.typed else f"{_shorten(self.typed)} ({self.sha256[:8]})"

    @property
    def names(self) -> list[str]:
        """The names of its parameters."""
        return [] if self.table else parameter_names(self.typed)

    @property
    def sha256(self) -> str:
        """The digest of its text as typed."""
        return hashlib.sha256(self.typed.encode()).hexdigest()

    def key(self, config: SqlData) -> str:
        """A digest of all that a snapshot depends on: database, text and values, or the columns of a table."""
        columns = [column.name for column in self.columns] if self.table else dict(self.parameters)
        content = [FORMAT, sorted(connection_attributes(config).items()), self.typed, columns]
        return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:32]

    def check(self, connection: Connection) -> None:
        """Check that the query is valid and has the wanted columns, without running it where the driver allows that.

        Raises:
            ConfigError, DataError: it is not valid, or lacks a column.
            MissingError: the connection was lost, or the database takes too long.
        """
        import pyodbc

        text, values = self._full_statement(connection)
        try:
            cursor = connection.raw.cursor()
            try:
                cursor.execute(_empty_statement(text) if connection.driver.allows_subquery else text, *values)
            except pyodbc.Error as error:
                if error.args[0] != "42S21":  # MariaDB does not allow equal column names in a subquery
                    raise
                cursor.execute(text, *values)
            schema = self._schema(cursor.description, connection, (text, values))
            cursor.close()
        except pyodbc.Error as error:
            tables = connection.tables() if self.table else []
            raise query_error(error, self.setting, connection.password, 0, tables) from None
        check_column_types(schema, self.columns, self.setting)
        if self.table and (beside := columns_beside(self.columns, schema.names)):
            raise DataError(
                f"{self.setting} has a column {beside[0]}, which is passed to the chat template with the messages, but "
                f"of a table only the configured columns are read. Set data.{self.part} to a query that selects "
                f"{self.columns[0].name} and, if it belongs to the chats, {beside[0]}."
            )

    def read(self, connection: Connection) -> tuple[pa.Schema, Iterator[pa.RecordBatch]]:
        """The schema, and the rows as an iterator of batches.

        Raises:
            ConfigError, DataError, MissingError: see `check`; also from the iterator.
        """
        import pyodbc

        if self.table:
            self.check(connection)  # its message has the existing columns
        text, values = self._column_statement(connection)
        try:
            cursor = connection.raw.cursor().execute(text, *values)
            schema = self._schema(cursor.description, connection, (text, values))
        except pyodbc.Error as error:
            raise query_error(error, self.setting, connection.password, 0) from None
        check_column_types(schema, self.columns, self.setting)
        blocks = connection.driver.fetches_blocks and can_read_blocks(schema)
        batches = (read_blocks if blocks else read_rows)(cursor, schema, self.setting)
        return schema, self._translate_errors(batches, connection)

    def size(self, connection: Connection) -> int | None:
        """The approximate bytes of its rows: their number times the mean size of the first ones; None after a
        timeout."""
        import pyodbc

        number = self.count(connection)
        if number is None:
            return None
        text, values = self._column_statement(connection)
        sample = f"SELECT * FROM ({text}\n) passingloop LIMIT {SAMPLE_ROWS}"  # noqa: S608  # the user's own query
        try:
            rows = connection.raw.execute(sample, *values).fetchall()
        except pyodbc.Error:
            return None
        return int(number * sum(len(str(value)) for row in rows for value in row) / max(1, len(rows)))

    def count(self, connection: Connection) -> int | None:
        """The number of its rows; None after a timeout."""
        import pyodbc

        text, values = self._column_statement(connection)
        count = f"SELECT COUNT(*) FROM ({text}\n) passingloop"  # noqa: S608  # the user's own query
        try:
            connection.limit_statement_seconds(SIZE_SECONDS)
            return int(connection.raw.execute(count, *values).fetchval())
        except pyodbc.Error:
            return None

    def _full_statement(self, connection: Connection) -> Statement:
        if self.table:
            return f"SELECT * FROM {connection.quote(*self.table)}", ()  # noqa: S608  # quoted
        return bind_parameters(
            self.typed, self.parameters, self.setting, backslash_escapes=connection.driver.backslash_escapes
        )

    def _column_statement(self, connection: Connection) -> Statement:
        if not self.table:
            return self._full_statement(connection)
        columns = ", ".join(connection.quote(name) for name in dict.fromkeys(column.name for column in self.columns))
        return f"SELECT {columns} FROM {connection.quote(*self.table)}", ()  # noqa: S608  # quoted

    def _schema(self, description: Sequence[Sequence[Any]], connection: Connection, statement: Statement) -> pa.Schema:
        """The types of the columns, from `description` of pyodbc's cursor."""
        zoned = [False] * len(description)
        if connection.driver.type_expression and any(kind is datetime.datetime for _, kind, *_ in description):
            text, values = _types_statement(statement, connection.driver.type_expression, len(description))
            zoned = [kind == "timestamp with time zone" for kind in connection.raw.execute(text, *values).fetchone()]
        return result_schema(description, zoned, self.setting)

    def _translate_errors(self, batches: Iterator[pa.RecordBatch], connection: Connection) -> Iterator[pa.RecordBatch]:
        import pyodbc

        rows = 0
        try:
            for batch in batches:
                rows += batch.num_rows
                yield batch
        except pyodbc.Error as error:
            raise query_error(error, self.setting, connection.password, rows) from None


def configured_queries(config: SqlData, part: Part, columns: tuple[Column, ...]) -> tuple[Query, ...]:
    """The queries and tables in `data.<part>`, each once.

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
    """A statement with the same columns and no rows. The line break ends a comment at the end of `text`."""
    return f"SELECT * FROM ({text}\n) passingloop WHERE 1 = 0"  # noqa: S608  # the user's own query


def _types_statement(statement: Statement, function: str, columns: int) -> Statement:
    """A statement whose only row has the types of the columns, also if the query has no rows."""
    names = [f"c{number}" for number in range(columns)]
    asked = ", ".join(function.format(name) for name in names)
    none = f"({_empty_statement(statement[0])}) none({', '.join(names)})"
    return f"SELECT {asked} FROM (SELECT 1) one LEFT JOIN {none} ON true", statement[1]  # noqa: S608  # our own names


def _shorten(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= MAX_CHARACTERS else f"{line[:MAX_CHARACTERS]}…"
