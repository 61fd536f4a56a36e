"""Examples from the Hugging Face hub, or from a folder in that form, through the library `datasets`."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from passingloop.config.build import did_you_mean
from passingloop.config.data import PARTS, Fingerprint, Part
from passingloop.config.settings import Task
from passingloop.data.files.errors import check_columns, shorten_list
from passingloop.data.hub.cache import datasets_library, writable_cache
from passingloop.data.hub.errors import HubFaults
from passingloop.data.hub.folder import Folder
from passingloop.data.hub.repository import Repository, starting_commit
from passingloop.data.hub.schema import ClassNames, check_types, class_names, convert
from passingloop.data.hub.settings import HubData
from passingloop.data.hub.splits import Slice, parse
from passingloop.data.rows.batches import ROWS, SIZE, number_rows, row_column
from passingloop.data.rows.columns import schema_of, wanted_columns
from passingloop.data.rows.places import Pieces, Place
from passingloop.data.source import Reject
from passingloop.data.time_limit import call_with_timeout
from passingloop.errors import ConfigError, DataError

LISTING, HEAD = 12.0, 6.0
"""Seconds in which a check must have the splits, and may wait for the first rows."""

PATIENCE = 120.0
"""Seconds in which reading must have the splits, which may be in ten thousand files."""

STREAMED_ROWS = 512
"""Rows per batch where it is not known how large they are."""


class Hub:
    """The source behind `data=hub`."""

    def __init__(self, config: HubData, task: Task, cache_root: Path, kept: Fingerprint | None = None) -> None:
        """Checks the settings; asks nobody.

        Args:
            kept: what the run began with, if it has begun: its commit is read again, wherever the branch is by now.

        Raises:
            DataError: `data.path` is neither a folder nor the id of a dataset.
            ConfigError: a split is not written as one, or cannot be had by streaming.
        """
        local = Path(config.path).is_dir()
        began = None if local else starting_commit(kept or {})
        if began:
            config = replace(config, revision=began)
        self._config = config
        self._schema = schema_of(config, task)
        self._wanted = wanted_columns(config, task)
        self._pieces: dict[Part, Pieces] = {}
        named = {part: getattr(config, part) for part in PARTS}
        self._specs: dict[Part, dict[str, tuple[Slice, ...]]] = {
            part: {spec: parse(f"data.{part}", spec) for spec in specs} for part, specs in named.items() if specs
        }
        cache = writable_cache(cache_root)
        self._faults = HubFaults(config, cache_root, cache, has_begun=bool(began))
        self._origin = (Folder if local else Repository)(config, cache, self._faults)
        if not local:
            _check_id(config.path)
            self._check_streaming()

    def parts(self) -> tuple[Part, ...]:
        """The parts for which the configuration names splits."""
        return tuple(self._specs)

    def check(self) -> None:
        """Ask for the splits and their columns; for columns that are only in the rows, if these come in a moment.

        Raises:
            DataError: the dataset, a split or a column is not there, or one may not see it.
            ConfigError: the dataset has no such configuration.
            MissingError: the hub cannot be reached, and the dataset is not in the cache.
        """
        builder = self._builder(LISTING)
        for part, specs in self._specs.items():
            for spec, slices in specs.items():
                self._check_splits(builder, part, spec, slices)
        first = next(iter(self._specs["train"].values()))[0].split
        with contextlib.suppress(TimeoutError):  # a slow line is no fault; then preparing finds what there is to find
            schema, classes = call_with_timeout(HEAD, lambda: self._columns(builder, first))
            self._check_columns(self._location(first), schema, classes)

    def size(self) -> int | None:
        """Bytes of the files in which the splits are, whole splits though a slice is asked for."""
        splits = {piece.split for specs in self._specs.values() for slices in specs.values() for piece in slices}
        builder = self._builder(LISTING)
        try:
            return call_with_timeout(HEAD, lambda: self._origin.size(builder, splits))
        except TimeoutError:
            return None

    def identity(self, part: Part) -> dict[str, str]:
        """On the hub, the commit, the configuration and the split; of a folder, the SHA-256 of its files.

        A branch that has moved gives another identity. Where the hub does not answer, the commit is the one that the
        branch was last seen at from here.

        Raises:
            DataError: the dataset or revision is not there, or one may not see it; a file cannot be read.
            MissingError: the hub does not answer, and never did.
        """
        pieces: dict[str, str] = {}
        for spec, slices in self._specs[part].items():
            if isinstance(self._origin, Folder):
                self._check_splits(self._origin.builder(), part, spec, slices)
            pieces |= self._origin.identity(spec, slices)
        return pieces

    def read(self, part: Part, reject: Reject) -> Iterator[pa.RecordBatch]:
        """The examples, split by split, in batches of a few thousand rows at most.

        Raises:
            DataError: something cannot be read, a column is missing, or a split has no examples.
            ConfigError: the dataset has no such configuration, or the disk is full.
            MissingError: the hub does not answer.
        """
        builder = self._builder(PATIENCE)
        pieces = self._pieces[part] = Pieces()
        for spec, slices in self._specs[part].items():
            self._check_splits(builder, part, spec, slices)
            examples = 0
            for piece in slices:
                for batch in number_rows(self._convert(builder, piece, reject), pieces, self._location(piece.split)):
                    examples += batch.num_rows
                    yield batch
            if not examples:
                raise DataError(f"{self._location(spec)} has no examples. Leave it out, or see why it is empty.")

    def pieces(self, part: Part) -> Pieces:
        """The slices of splits, as far as they have been read."""
        return self._pieces[part]

    def _convert(self, builder: Any, piece: Slice, reject: Reject) -> Iterator[pa.RecordBatch]:
        """Batches with the schema, `row` counting from 0 in the split."""
        dataset = self._origin.rows(builder, piece.split)
        where, fields = self._location(piece.split), list(self._schema)[1:]
        classes = class_names(dataset.features or {})
        for row, table in self._tables(dataset, piece):
            self._check_columns(where, table.schema, classes)
            [batch] = table.select(sorted({column.name for column in self._wanted})).combine_chunks().to_batches()
            values, faults = convert(batch, self._wanted, fields, classes)
            rows = row_column(np.arange(row, row + batch.num_rows))
            whole = pa.RecordBatch.from_arrays([rows, *values.columns], schema=self._schema)
            for place, why in sorted(faults.items()):
                reject(DataError(f"{Place(where, 'row', row + place)}: {why}"))
            yield whole.take(np.delete(np.arange(whole.num_rows), list(faults))) if faults else whole

    def _tables(self, dataset: Any, piece: Slice) -> Iterator[tuple[int, pa.Table]]:
        """The rows of the slice, each table with the number of its first row in the split."""
        if hasattr(dataset, "num_rows"):  # tables on the disk, read as mapped memory
            start, stop = piece.rows(dataset.num_rows)
            chosen = dataset.select(range(start, min(stop or dataset.num_rows, dataset.num_rows)))
            rows = max(1, min(ROWS, SIZE * dataset.num_rows // max(1, dataset.data.nbytes)))
            yield from self._tables_with_rows(chosen, rows, start)
            return
        total = sum(table.num_rows for _, table in self._tables_with_rows(dataset, ROWS)) if piece.relative else None
        start, stop = piece.rows(total)
        for row, table in self._tables_with_rows(dataset, STREAMED_ROWS):
            if stop is not None and row >= stop:
                return
            skipped = max(0, start - row)
            if kept := table.slice(skipped, None if stop is None else max(0, stop - row - skipped)):
                yield row + skipped, kept

    def _tables_with_rows(self, dataset: Any, rows: int, row: int = 0) -> Iterator[tuple[int, pa.Table]]:
        tables = iter(dataset.with_format("arrow").iter(rows))
        while True:
            with self._faults.translate_errors():
                table = next(tables, None)
            if table is None:
                return
            yield row, table
            row += table.num_rows

    def _builder(self, seconds: float) -> Any:
        datasets_library()  # importing it is not the hub's time
        with self._faults.translate_errors():
            return call_with_timeout(seconds, self._origin.builder)

    def _columns(self, builder: Any, split: str) -> tuple[pa.Schema, ClassNames]:
        """From what the builder knows, else from the beginning of the split."""
        if builder.info.features is not None:
            return builder.info.features.arrow_schema, class_names(builder.info.features)
        with self._faults.translate_errors():
            dataset = builder.as_streaming_dataset(split)
            builder.info.features = None  # reading is not to depend on whether someone looked before
            if dataset.features is not None:
                return dataset.features.arrow_schema, class_names(dataset.features)
            table = next(iter(dataset.with_format("arrow").iter(1)), None)
        return table.schema if table else pa.schema([]), {}

    def _check_columns(self, where: str, schema: pa.Schema, classes: ClassNames) -> None:
        check_columns(where, self._wanted, schema.names)
        check_types(where, self._wanted, schema, classes)

    def _check_splits(self, builder: Any, part: Part, spec: str, slices: Iterable[Slice]) -> None:
        there = [str(split) for split in builder.config.data_files or builder.info.splits]
        for piece in slices:
            if piece.split not in there:
                raise DataError(
                    f"You set data.{part}={spec}, but {self._location(None)} has no split {piece.split}. It has: "
                    f"{shorten_list(there)}.{did_you_mean(piece.split, there)}"
                )

    def _location(self, split: str | None) -> str:
        return ", ".join(filter(None, [self._config.path, self._config.config, split]))

    def _check_streaming(self) -> None:
        """Slices that count from the end are not known before all is read."""
        for part, specs in self._specs.items():
            for spec, slices in specs.items():
                if self._config.streaming and any(piece.relative for piece in slices):
                    raise ConfigError(
                        f"You set data.streaming=true and data.{part}={spec}, but how many rows there are is not known "
                        "while they arrive. Count them from the beginning, as in train[:5000], or set "
                        "data.streaming=false."
                    )


def _check_id(path: str) -> None:
    if path.startswith(("/", "./", "../", "~")):
        raise DataError(f"You set data.path={path}, but there is no such folder.{_beside(Path(path).expanduser())}")
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", path):
        raise DataError(
            f"You set data.path={path}, which is no folder here and no id of a dataset: those have an owner and a "
            f"name, such as stanfordnlp/imdb.{_beside(Path(path))}"
        )


def _beside(folder: Path) -> str:
    there = [other.name for other in folder.parent.iterdir()] if folder.parent.is_dir() else []
    return did_you_mean(folder.name, there)
