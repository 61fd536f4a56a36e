"""Examples from any database with an ODBC driver. What a query has read is kept, and read again on request only."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa

from passingloop.config.data import PARTS, Fingerprint, Part
from passingloop.config.settings import Task
from passingloop.data.cache.usage import record_use
from passingloop.data.rows.batches import number_rows
from passingloop.data.rows.columns import schema_of, wanted_columns
from passingloop.data.rows.places import Pieces
from passingloop.data.source import Reject
from passingloop.data.sql.connection import open_connection
from passingloop.data.sql.conversion import check_fit, examples
from passingloop.data.sql.language import check_used
from passingloop.data.sql.queries import Query, queries
from passingloop.data.sql.settings import SqlData
from passingloop.data.sql.snapshot import Shelf, Snapshot
from passingloop.errors import DataError

LOOK_SECONDS = 15
"""For the database to say which columns a query has."""


class Sql:
    """The source behind `data=sql`."""

    def __init__(self, config: SqlData, task: Task, cache_root: Path, kept: Fingerprint | None) -> None:
        """Asks no database anything.

        Raises:
            ConfigError: a query is none, or `data.parameters` has a name that no query has.
        """
        self._config = config
        self._schema = schema_of(config, task)
        self._wanted = wanted_columns(config, task)
        self._pieces: dict[Part, Pieces] = {}
        named = {part: queries(config, part, self._wanted) for part in PARTS}
        self._queries = {part: part_queries for part, part_queries in named.items() if part_queries}
        self._shelves = cache_root / "snapshots"
        self._kept = kept or {}
        self._taken: dict[str, Snapshot] = {}
        self._opened = time.time()
        check_used(config.parameters, [name for query in self._all_queries() for name in query.names])

    def parts(self) -> tuple[Part, ...]:
        """The parts for which the configuration has queries."""
        return tuple(self._queries)

    def check(self) -> None:
        """Check the columns: of the snapshots where there are, else by asking the database, which reads nothing yet.

        Raises:
            ConfigError, DataError: a query cannot be run or lacks a column; the login is wrong.
            MissingError: pyodbc, the driver or the server is not there, or does not answer in time.
        """
        unread = []
        for query in self._all_queries():
            if snapshot := self._existing_snapshot(query):
                check_fit(snapshot.schema, self._wanted, query.setting)
            else:
                unread.append(query)
        if unread:
            with open_connection(self._config) as connection:
                connection.limit_statement_seconds(LOOK_SECONDS)
                for query in unread:
                    query.check(connection)

    def size(self) -> int | None:
        """Bytes of the snapshots; before there are any, what the database can tell in a moment."""
        snapshots = [self._existing_snapshot(query) for query in self._all_queries()]
        if all(snapshots):
            return sum(int(snapshot.facts["bytes"]) for snapshot in snapshots if snapshot)
        with open_connection(self._config) as connection:
            sizes = [query.size(connection) for query in self._all_queries()] if connection.driver.bounded else [None]
        return None if None in sizes else sum(size for size in sizes if size is not None)

    def identity(self, part: Part) -> dict[str, str]:
        """The text of every query to a digest of the rows it has read. Reads what has not been read yet.

        Raises:
            ConfigError, DataError, MissingError: as `check`, and what the rows hold.
        """
        return {query.piece: self._snapshot(query).digest for query in self._queries[part]}

    def read(self, part: Part, reject: Reject) -> Iterator[pa.RecordBatch]:
        """The examples, query by query, in the order in which the database gave them.

        Raises:
            ConfigError, DataError, MissingError: as `identity`; a query has no rows.
        """
        pieces = self._pieces[part] = Pieces()
        for query in self._queries[part]:
            snapshot = self._snapshot(query)
            check_fit(snapshot.schema, self._wanted, query.setting)
            if not snapshot.facts["rows"]:
                raise DataError(f"{query.setting} has no rows. Leave it out, or see why it finds none.")
            batches = examples(snapshot, self._wanted, list(self._schema), query.setting, reject)
            yield from number_rows(batches, pieces, query.setting)

    def pieces(self, part: Part) -> Pieces:
        """The queries, as far as they have been read."""
        return self._pieces[part]

    def _all_queries(self) -> list[Query]:
        return [query for part in self._queries.values() for query in part]

    def _shelf(self, query: Query) -> Shelf:
        return Shelf(self._shelves / query.key(self._config))

    def _existing_snapshot(self, query: Query) -> Snapshot | None:
        """The snapshot to use, if it is there."""
        if digest := self._kept.get(query.part, {}).get(query.piece):
            snapshot = self._shelf(query).snapshot(digest)
            if snapshot is None:
                raise DataError(
                    f"The run began with rows of {query.setting} that are no longer in {self._shelf(query).folder}. "
                    "Use the cache_root it began with, or add rerun=true to begin afresh."
                )
            return snapshot
        current = self._shelf(query).current()
        # What was read while this process waited is new enough: of many that start at once, one reads.
        anew = self._config.refresh and (current is None or current.facts["read_until"] < self._opened)
        return None if anew else current

    def _snapshot(self, query: Query) -> Snapshot:
        """The one that this process has begun with, or the one to begin with."""
        key = query.key(self._config)
        if key not in self._taken:
            self._taken[key] = self._existing_snapshot(query) or self._read(query)
            record_use(self._shelf(query).folder)
        return self._taken[key]

    def _read(self, query: Query) -> Snapshot:
        shelf = self._shelf(query)
        with shelf.exclusive_read(done=lambda: self._existing_snapshot(query) is not None) as beside:
            if snapshot := self._existing_snapshot(query):  # by another process, meanwhile
                return snapshot
            began = time.time()
            with open_connection(self._config) as connection:
                schema, batches = query.read(connection)
                facts = {
                    "query_sha256": query.sha256,
                    "read_at": datetime.fromtimestamp(began, UTC).isoformat(timespec="seconds"),
                    **connection.facts(),
                }
                return shelf.add(beside, batches, schema, lambda: facts | _timing(began))


def _timing(began: float) -> dict[str, float]:
    now = time.time()
    return {"read_until": now, "seconds": round(now - began, 3)}
