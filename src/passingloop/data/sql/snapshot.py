"""What queries have read, as Parquet: `snapshots/<query>/<content>/rows.parquet`, with `snapshot.json` beside it.

A snapshot is there whole or not at all, and never changes. `current` beside them names the one that was read last.
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
"""Rows are written in groups of about so many bytes."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The result of a query as it was read."""

    folder: Path
    facts: dict[str, Any]
    """What ``snapshot.json`` says: digest, columns with types, rows, bytes, when and from where it was read."""

    @property
    def rows(self) -> Path:
        """Its columns have the names of the query, a repeated one with a number behind it."""
        return self.folder / "rows.parquet"

    @property
    def digest(self) -> str:
        """Of the typed rows in their order."""
        return str(self.facts["digest"])

    @property
    def schema(self) -> pa.Schema:
        """The columns as the query has them."""
        stored = pq.read_schema(self.rows)
        return pa.schema(
            [field.with_name(name) for field, (name, _) in zip(stored, self.facts["columns"], strict=True)]
        )


@dataclass(frozen=True, slots=True)
class Shelf:
    """The snapshots of one query."""

    folder: Path

    def snapshot(self, digest: str) -> Snapshot | None:
        """The one with this content."""
        path = self.folder / digest / "snapshot.json"
        return Snapshot(path.parent, json.loads(path.read_text(encoding="utf-8"))) if path.exists() else None

    def current(self) -> Snapshot | None:
        """The one that was read last."""
        name = self.folder / "current"
        return self.snapshot(name.read_text(encoding="utf-8").strip()) if name.exists() else None

    @contextmanager
    def exclusive_read(self, done: Callable[[], bool]) -> Iterator[Path]:
        """A context in which no other process reads this query, or it is `done`. Yields where to write; removed after.

        Raises:
            ConfigError: nothing can be written there, also in what is done meanwhile.
            DataError, MissingError: what the process has failed with that this one waited for.
        """
        try:
            with exclusive_build(self.folder / "rows", done=done) as beside:
                yield beside
        except OSError as error:
            raise ConfigError(
                f"You set cache_root={self.folder.parents[1]}, but what the query reads cannot be kept there: {error}. "
                "Make room, or choose another folder."
            ) from error

    def add(
        self,
        beside: Path,
        batches: Iterator[pa.RecordBatch],
        schema: pa.Schema,
        facts: Callable[[], dict[str, Any]],
    ) -> Snapshot:
        """Write `beside`, then rename: what a killed process leaves counts for nothing. To be called when `alone`.

        `facts` are asked for once all is read.
        """
        beside.mkdir()
        written = _write(beside / "rows.parquet", batches, schema)
        write_json(beside / "snapshot.json", written | facts())
        target = self.folder / written["digest"]
        if not self.snapshot(written["digest"]):  # else it was read anew, and nothing had changed
            shutil.rmtree(target, ignore_errors=True)
            publish_folder(beside, target)
        write_text(self.folder / "current", f"{written['digest']}\n")
        snapshot = self.snapshot(written["digest"])
        assert snapshot is not None
        return snapshot


def _write(path: Path, batches: Iterator[pa.RecordBatch], schema: pa.Schema) -> dict[str, Any]:
    """Everything about the rows that is known once they are written. A thread writes while the next rows come."""
    digest, rows = RowsDigest(schema), 0
    held: list[pa.RecordBatch] = []
    size = 0
    with (
        path.open("xb") as file,
        pq.ParquetWriter(
            file,
            _renamed(schema, _distinct(schema.names)),
            compression="zstd",
            compression_level=1,
            use_dictionary=False,
            write_statistics=False,
        ) as writer,
        ThreadPoolExecutor(1) as behind,
    ):
        writing: Future[None] | None = None
        for batch in batches:
            rows += batch.num_rows
            held.append(batch)
            size += batch.nbytes
            if size >= GROUP_BYTES:
                if writing:
                    writing.result()
                writing = behind.submit(_add, writer, digest, held)
                held, size = [], 0
        if writing:
            writing.result()
        _add(writer, digest, held)
    columns = [[field.name, str(field.type)] for field in schema]
    return {"digest": digest.hexdigest(), "columns": columns, "rows": rows, "bytes": path.stat().st_size}


def _add(writer: pq.ParquetWriter, digest: RowsDigest, batches: list[pa.RecordBatch]) -> None:
    if not batches:
        return
    for batch in batches:
        digest.add(batch)
    table = pa.Table.from_batches(batches).rename_columns(writer.schema.names)
    writer.write_table(table, row_group_size=table.num_rows)


def _renamed(schema: pa.Schema, names: list[str]) -> pa.Schema:
    return pa.schema([field.with_name(name) for field, name in zip(schema, names, strict=True)])


def _distinct(names: list[str]) -> list[str]:
    """A query may give several columns the same name, or none."""
    distinct_names: list[str] = []
    for name in names:
        number, distinct = 1, name
        while distinct in distinct_names:
            number += 1
            distinct = f"{name}:{number}"
        distinct_names.append(distinct)
    return distinct_names
