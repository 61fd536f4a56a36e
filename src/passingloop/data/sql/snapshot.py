"""Snapshots of the rows of queries as Parquet files, `snapshots/<query>/<content>/rows.parquet`, with `snapshot.json`.

A snapshot is written atomically and never changes. The file `snapshots/<query>/current` has the name of the newest one.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from passingloop.data.cache.lease import exclusive_build
from passingloop.data.sql.digest import RowsDigest
from passingloop.errors import ConfigError
from passingloop.files import publish_folder, write_json, write_text

GROUP_BYTES = 4 << 20
"""Approximate bytes of a row group."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The rows of a query as they were read."""

    folder: Path
    facts: dict[str, Any]
    """The content of ``snapshot.json``: digest, columns with types, rows, bytes, when and from where it was read."""

    @property
    def rows(self) -> Path:
        """The file of rows. Its columns have the names in the query; a repeated name has a number after it."""
        return self.folder / "rows.parquet"

    @property
    def digest(self) -> str:
        """The digest of the typed rows in their order."""
        return str(self.facts["digest"])

    @property
    def schema(self) -> pa.Schema:
        """The columns as in the query, also with repeated names."""
        stored = pq.read_schema(self.rows)
        return pa.schema(
            [field.with_name(name) for field, (name, _) in zip(stored, self.facts["columns"], strict=True)]
        )


@dataclass(frozen=True, slots=True)
class QuerySnapshots:
    """The snapshots of one query."""

    folder: Path

    def snapshot(self, digest: str) -> Snapshot | None:
        """The snapshot with this digest; None if there is none."""
        path = self.folder / digest / "snapshot.json"
        return Snapshot(path.parent, json.loads(path.read_text(encoding="utf-8"))) if path.exists() else None

    def current(self) -> Snapshot | None:
        """The newest snapshot; None if there is none."""
        name = self.folder / "current"
        return self.snapshot(name.read_text(encoding="utf-8").strip()) if name.exists() else None

    @contextmanager
    def exclusive_read(self, done: Callable[[], bool]) -> Iterator[Path]:
        """A context in which no other process reads this query. Yields a temporary path, as `exclusive_build`.

        Raises:
            ConfigError: the cache cannot be written to, also by the code in the context.
            DataError, MissingError: the error of another process while this one waited for it.
        """
        try:
            with exclusive_build(self.folder / "rows", done=done) as temporary:
                yield temporary
        except OSError as error:
            raise ConfigError(
                f"You set cache_root={self.folder.parents[1]}, but what the query reads cannot be kept there: {error}. "
                "Make room, or choose another folder."
            ) from error

    def add(
        self,
        temporary: Path,
        batches: Iterator[pa.RecordBatch],
        schema: pa.Schema,
        facts: Callable[[], dict[str, Any]],
    ) -> Snapshot:
        """Write a snapshot at `temporary`, then rename it. Called within `exclusive_read`.

        Args:
            facts: gives further content of ``snapshot.json``; called after all rows were read.
        """
        temporary.mkdir()
        written = _write_rows(temporary / "rows.parquet", batches, schema)
        write_json(temporary / "snapshot.json", written | facts())
        target = self.folder / written["digest"]
        if not self.snapshot(written["digest"]):  # else: it was read again without a change
            shutil.rmtree(target, ignore_errors=True)
            publish_folder(temporary, target)
        write_text(self.folder / "current", f"{written['digest']}\n")
        snapshot = self.snapshot(written["digest"])
        assert snapshot is not None
        return snapshot


def _write_rows(path: Path, batches: Iterator[pa.RecordBatch], schema: pa.Schema) -> dict[str, Any]:
    """Write the rows; returns their digest, columns, number and bytes. A thread writes while further rows are read."""
    digest, rows = RowsDigest(schema), 0
    held: list[pa.RecordBatch] = []
    size = 0
    with (
        path.open("xb") as file,
        pq.ParquetWriter(
            file,
            _with_names(schema, _distinct_names(schema.names)),
            compression="zstd",
            compression_level=1,
            use_dictionary=False,
            write_statistics=False,
        ) as writer,
        ThreadPoolExecutor(1) as executor,
    ):
        writing: Future[None] | None = None
        for batch in batches:
            rows += batch.num_rows
            held.append(batch)
            size += batch.nbytes
            if size >= GROUP_BYTES:
                if writing:
                    writing.result()
                writing = executor.submit(_write_group, writer, digest, held)
                held, size = [], 0
        if writing:
            writing.result()
        _write_group(writer, digest, held)
    columns = [[field.name, str(field.type)] for field in schema]
    return {"digest": digest.hexdigest(), "columns": columns, "rows": rows, "bytes": path.stat().st_size}


def _write_group(writer: pq.ParquetWriter, digest: RowsDigest, batches: list[pa.RecordBatch]) -> None:
    if not batches:
        return
    for batch in batches:
        digest.add(batch)
    table = pa.Table.from_batches(batches).rename_columns(writer.schema.names)
    writer.write_table(table, row_group_size=table.num_rows)


def _with_names(schema: pa.Schema, names: list[str]) -> pa.Schema:
    return pa.schema([field.with_name(name) for field, name in zip(schema, names, strict=True)])


def _distinct_names(names: list[str]) -> list[str]:
    """The names with a number after repeated ones, as a query may give several columns the same name."""
    distinct_names: list[str] = []
    for name in names:
        number, distinct = 1, name
        while distinct in distinct_names:
            number += 1
            distinct = f"{name}:{number}"
        distinct_names.append(distinct)
    return distinct_names
