"""Examples from any database with an ODBC driver. Rows are stored as snapshots, and read again on request only."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa

from passingloop.config.data import PARTS, Fingerprint, Part
from passingloop.config.settings import Task
from passingloop.data.cache.last_use import record_use
from passingloop.data.rows.batches import number_rows
from passingloop.data.rows.columns import schema_of, wanted_columns
from passingloop.data.rows.places import Pieces
from passingloop.data.source import Reject
from passingloop.data.sql.connection import Connection, open_connection
from passingloop.data.sql.conversion import check_column_types, example_batches
from passingloop.data.sql.language import check_parameters_used
from passingloop.data.sql.queries import Query, configured_queries
from passingloop.data.sql.settings import SqlData
from passingloop.data.sql.snapshot import QuerySnapshots, Snapshot
from passingloop.errors import DataError, MissingError

CHECK_SECONDS = 15
"""Time limit for the columns of a query."""


class Sql:
    """The source of `data=sql`."""

    def __init__(self, config: SqlData, task: Task, cache_root: Path, kept: Fingerprint | None) -> None:
        """Check the settings, without a connection.

        Raises:
            ConfigError: a query is not valid, or `data.parameters` has a name that no query has.
        """
        self._config = config
        self._schema = schema_of(config, task)
        self._wanted = wanted_columns(config, task)
        self._pieces: dict[Part, Pieces] = {}
        queries = {part: configured_queries(config, part, self._wanted) for part in PARTS}
        self._queries = {part: part_queries for part, part_queries in queries.items() if part_queries}
        self._snapshots_folder = cache_root / "snapshots"
        self._kept = kept or {}
        self._used_snapshots: dict[str, Snapshot] = {}
        self._opening_time = time.time()
        check_parameters_used(config.parameters, [name for query in self._all_queries() for name in query.names])

    def parts(self) -> tuple[Part, ...]:
        """The parts for which queries are configured."""
        return tuple(self._queries)

    def check(self) -> None:
        """Check the columns, of snapshots if they exist, else of the queries, whose rows are not read.

        Raises:
            ConfigError, DataError: a query is not valid or lacks a column; the login is wrong.
            MissingError: pyodbc or the driver is missing, or the server does not answer in time.
        """
        unread = []
        for query in self._all_queries():
            if snapshot := self._existing_snapshot(query):
                check_column_types(snapshot.schema, self._wanted, query.setting)
            else:
                unread.append(query)
        if unread:
            with open_connection(self._config) as connection:
                connection.limit_statement_seconds(CHECK_SECONDS)
                for query in unread:
                    query.check(connection)

    def size(self) -> int | None:
        """Bytes of the snapshots; if there are none, an estimate by the database; None if that takes too long."""
        snapshots = [self._existing_snapshot(query) for query in self._all_queries()]
        if all(snapshots):
            return sum(int(snapshot.facts["bytes"]) for snapshot in snapshots if snapshot)
        with open_connection(self._config) as connection:
            sizes = (
                [query.size(connection) for query in self._all_queries()]
                if connection.driver.timeout_statement
                else [None]
            )
        return None if None in sizes else sum(size for size in sizes if size is not None)

    def identity(self, part: Part) -> dict[str, str]:
        """The text of every query, mapped to a digest of its rows. Queries without a snapshot are read.

        Raises:
            ConfigError, DataError, MissingError: as `check`, and for values that cannot be read.
        """
        return {query.piece: self._snapshot(query).digest for query in self._queries[part]}

    def current_identity(self, part: Part) -> dict[str, str]:
        """The newest snapshots, if the queries still have as many rows as those. No rows are read.

        Raises:
            ConfigError, DataError, MissingError: as `check`; also if there is no snapshot, or rows cannot be counted.
        """
        with open_connection(self._config) as connection:
            return {query.piece: self._current_digest(query, connection) for query in self._queries[part]}

    def _current_digest(self, query: Query, connection: Connection) -> str:
        snapshot = self._query_snapshots(query).current()
        if snapshot is None:
            raise MissingError(f"What {query.setting} has read is no longer in cache_root.")
        rows = query.count(connection)
        if rows is None:
            raise MissingError(f"The rows of {query.setting} cannot be counted within seconds.")
        return snapshot.digest if rows == snapshot.facts["rows"] else f"{rows} rows"

    def read(self, part: Part, reject: Reject) -> Iterator[pa.RecordBatch]:
        """The examples, query by query, in the order in which the database returned them.

        Raises:
            ConfigError, DataError, MissingError: as `identity`; a query has no rows.
        """
        pieces = self._pieces[part] = Pieces()
        for query in self._queries[part]:
            snapshot = self._snapshot(query)
            check_column_types(snapshot.schema, self._wanted, query.setting)
            if not snapshot.facts["rows"]:
                raise DataError(f"{query.setting} has no rows. Leave it out, or see why it finds none.")
            batches = example_batches(snapshot, self._wanted, list(self._schema), query.setting, reject)
            yield from number_rows(batches, pieces, query.setting)

    def pieces(self, part: Part) -> Pieces:
        """The queries that have been read so far."""
        return self._pieces[part]

    def _all_queries(self) -> list[Query]:
        return [query for part in self._queries.values() for query in part]

    def _query_snapshots(self, query: Query) -> QuerySnapshots:
        return QuerySnapshots(self._snapshots_folder / query.key(self._config))

    def _existing_snapshot(self, query: Query) -> Snapshot | None:
        """The snapshot to use: that of the run's beginning, or the newest one; None if the query must be read."""
        if digest := self._kept.get(query.part, {}).get(query.piece):
            snapshot = self._query_snapshots(query).snapshot(digest)
            if snapshot is None:
                raise DataError(
                    f"The run began with rows of {query.setting} that are no longer in "
                    f"{self._query_snapshots(query).folder}. Use the cache_root it began with, or add rerun=true to "
                    "begin afresh."
                )
            return snapshot
        current = self._query_snapshots(query).current()
        # With data.refresh, a snapshot that was read after the start of this process is new enough.
        is_outdated = self._config.refresh and (current is None or current.facts["read_until"] < self._opening_time)
        return None if is_outdated else current

    def _snapshot(self, query: Query) -> Snapshot:
        """The snapshot of the query that this process uses from the first call on."""
        key = query.key(self._config)
        if key not in self._used_snapshots:
            self._used_snapshots[key] = self._existing_snapshot(query) or self._read_query(query)
            record_use(self._query_snapshots(query).folder)
        return self._used_snapshots[key]

    def _read_query(self, query: Query) -> Snapshot:
        snapshots = self._query_snapshots(query)
        with snapshots.exclusive_read(done=lambda: self._existing_snapshot(query) is not None) as temporary:
            if snapshot := self._existing_snapshot(query):  # read by another process meanwhile
                return snapshot
            start = time.time()
            with open_connection(self._config) as connection:
                schema, batches = query.read(connection)
                facts = {
                    "query_sha256": query.sha256,
                    "read_at": datetime.fromtimestamp(start, UTC).isoformat(timespec="seconds"),
                    **connection.facts(),
                }
                return snapshots.add(temporary, batches, schema, lambda: facts | _timing(start))


def _timing(start: float) -> dict[str, float]:
    now = time.time()
    return {"read_until": now, "seconds": round(now - start, 3)}
