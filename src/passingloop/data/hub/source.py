"""Examples from the Hugging Face hub, or a folder with its layout, through the library `datasets`."""

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
from passingloop.data.files.errors import check_columns, names_excerpt
from passingloop.data.files.parquet import columns_to_read
from passingloop.data.hub.cache import datasets_library, writable_cache
from passingloop.data.hub.errors import HubFaults
from passingloop.data.hub.folder import Folder
from passingloop.data.hub.repository import Repository, starting_commit
from passingloop.data.hub.schema import ClassNames, check_types, class_names, convert_batch
from passingloop.data.hub.settings import HubData
from passingloop.data.hub.splits import Slice, parse_slices
from passingloop.data.rows.batches import MAX_ROWS, MAX_SIZE, number_rows, row_column
from passingloop.data.rows.columns import schema_of, wanted_columns
from passingloop.data.rows.places import Pieces, Place
from passingloop.data.source import Reject
from passingloop.data.time_limit import call_with_timeout
from passingloop.errors import ConfigError, DataError, MissingError

SPLITS_SECONDS, FIRST_ROWS_SECONDS = 12.0, 6.0
"""Time limits of a check: for the splits, without which it fails, and for the first rows."""

READING_SPLITS_SECONDS = 120.0
"""Time limit for the splits when data are read; they may have ten thousand files."""

STREAMED_ROWS = 512
"""Rows per batch if their size is unknown."""


class Hub:
    """The source of `data=hub`."""

    def __init__(self, config: HubData, task: Task, cache_root: Path, kept: Fingerprint | None = None) -> None:
        """Check the settings, without any request.

        Args:
            kept: the fingerprint that the run began with, if it has begun. Its commit is read again.

        Raises:
            DataError: `data.path` is neither a folder nor the id of a dataset.
            ConfigError: a split has a wrong syntax, or cannot be streamed.
        """
        local = Path(config.path).is_dir()
        start_commit = None if local else starting_commit(kept or {})
        if start_commit:
            config = replace(config, revision=start_commit)
        self._config = config
        self._schema = schema_of(config, task)
        self._wanted = wanted_columns(config, task)
        self._pieces: dict[Part, Pieces] = {}
        specs_by_part = {part: getattr(config, part) for part in PARTS}
        self._specs: dict[Part, dict[str, tuple[Slice, ...]]] = {
            part: {spec: parse_slices(f"data.{part}", spec) for spec in specs}
            for part, specs in specs_by_part.items()
            if specs
        }
        cache = writable_cache(cache_root)
        self._faults = HubFaults(config, cache_root, cache, has_begun=bool(start_commit))
        self._origin = (Folder if local else Repository)(config, cache, self._faults)
        if not local:
            _check_id(config.path)
            self._check_streaming()

    def parts(self) -> tuple[Part, ...]:
        """The parts for which splits are configured."""
        return tuple(self._specs)

    def check(self) -> None:
        """Check the splits, and the columns if they are known or the first rows arrive within `FIRST_ROWS_SECONDS`.

        Raises:
            DataError: the dataset, a split or a column does not exist or is not accessible.
            ConfigError: the dataset does not have the configuration.
            MissingError: the hub cannot be reached, and the dataset is not in the cache.
        """
        builder = self._builder(SPLITS_SECONDS)
        for part, specs in self._specs.items():
            for spec, slices in specs.items():
                self._check_splits(builder, part, spec, slices)
        first = next(iter(self._specs["train"].values()))[0].split
        with contextlib.suppress(TimeoutError):  # a slow network is no error: reading checks the columns again
            schema, classes = call_with_timeout(FIRST_ROWS_SECONDS, lambda: self._columns(builder, first))
            self._check_columns(self._location(first), schema, classes)

    def size(self) -> int | None:
        """Bytes of the splits' files, of whole splits also if slices are configured; None if it takes too long."""
        splits = {piece.split for specs in self._specs.values() for slices in specs.values() for piece in slices}
        builder = self._builder(SPLITS_SECONDS)
        try:
            return call_with_timeout(FIRST_ROWS_SECONDS, lambda: self._origin.size(builder, splits))
        except TimeoutError:
            return None

    def identity(self, part: Part) -> dict[str, str]:
        """For the hub the commit, configuration and split; for a folder the SHA-256 of its files.

        A new commit of a branch gives another identity. If the hub does not answer, the last known commit is used.

        Raises:
            DataError: the dataset or revision does not exist or is not accessible, or a file cannot be read.
            MissingError: the hub does not answer, and no commit is known.
        """
        pieces: dict[str, str] = {}
        for spec, slices in self._specs[part].items():
            if isinstance(self._origin, Folder):
                self._check_splits(self._origin.builder(), part, spec, slices)
            pieces |= self._origin.identity(spec, slices)
        return pieces

    def current_identity(self, part: Part) -> dict[str, str]:
        """As `identity`, if the hub answers.

        Raises:
            MissingError: it does not, so only the last known commit can be told.
        """
        pieces = self.identity(part)
        if isinstance(self._origin, Repository) and self._origin.no_answer:
            branch = self._config.revision or "main"
            raise MissingError(
                f"The hub cannot be reached, so whether {branch} of {self._config.path} has moved is unknown."
            )
        return pieces

    def read(self, part: Part, reject: Reject) -> Iterator[pa.RecordBatch]:
        """The examples, split by split, in batches of a few thousand rows at most.

        Raises:
            DataError: a file cannot be read, a column is missing, or a split has no examples.
            ConfigError: the dataset does not have the configuration, or the disk is full.
            MissingError: the hub does not answer.
        """
        builder = self._builder(READING_SPLITS_SECONDS)
        pieces = self._pieces[part] = Pieces()
        for spec, slices in self._specs[part].items():
            self._check_splits(builder, part, spec, slices)
            examples = 0
            for piece in slices:
                for batch in number_rows(
                    self._converted_batches(builder, piece, reject), pieces, self._location(piece.split)
                ):
                    examples += batch.num_rows
                    yield batch
            if not examples:
                raise DataError(f"{self._location(spec)} has no examples. Leave it out, or see why it is empty.")

    def pieces(self, part: Part) -> Pieces:
        """The slices of splits that have been read so far."""
        return self._pieces[part]

    def _converted_batches(self, builder: Any, piece: Slice, reject: Reject) -> Iterator[pa.RecordBatch]:
        """The batches of a slice; the column `row` counts from 0 in the split."""
        dataset = self._origin.rows(builder, piece.split)
        location, fields = self._location(piece.split), list(self._schema)[1:]
        classes = class_names(dataset.features or {})
        for row, table in self._tables(dataset, piece):
            self._check_columns(location, table.schema, classes)
            [batch] = table.select(columns_to_read(self._wanted, table.schema.names)).combine_chunks().to_batches()
            values, faults = convert_batch(batch, self._wanted, fields, classes)
            rows = row_column(np.arange(row, row + batch.num_rows))
            whole = pa.RecordBatch.from_arrays([rows, *values.columns], schema=self._schema)
            for place, why in sorted(faults.items()):
                reject(DataError(f"{Place(location, 'row', row + place)}: {why}"))
            yield whole.take(np.delete(np.arange(whole.num_rows), list(faults))) if faults else whole

    def _tables(self, dataset: Any, piece: Slice) -> Iterator[tuple[int, pa.Table]]:
        """The rows of a slice as tables, each with the number of its first row in the split."""
        if hasattr(dataset, "num_rows"):  # memory-mapped tables on disk
            start, stop = piece.rows(dataset.num_rows)
            selection = dataset.select(range(start, min(stop or dataset.num_rows, dataset.num_rows)))
            rows = max(1, min(MAX_ROWS, MAX_SIZE * dataset.num_rows // max(1, dataset.data.nbytes)))
            yield from self._tables_with_rows(selection, rows, start)
            return
        total = (
            sum(table.num_rows for _, table in self._tables_with_rows(dataset, MAX_ROWS)) if piece.is_relative else None
        )
        start, stop = piece.rows(total)
        for row, table in self._tables_with_rows(dataset, STREAMED_ROWS):
            if stop is not None and row >= stop:
                return
            skipped = max(0, start - row)
            if remaining := table.slice(skipped, None if stop is None else max(0, stop - row - skipped)):
                yield row + skipped, remaining

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
        datasets_library()  # imported first, outside of the time limit
        with self._faults.translate_errors():
            return call_with_timeout(seconds, self._origin.builder)

    def _columns(self, builder: Any, split: str) -> tuple[pa.Schema, ClassNames]:
        """The schema and classes that the builder has, or else those of the split's first row."""
        if builder.info.features is not None:
            return builder.info.features.arrow_schema, class_names(builder.info.features)
        with self._faults.translate_errors():
            dataset = builder.as_streaming_dataset(split)
            builder.info.features = None  # so that reading does not depend on whether a check was made
            if dataset.features is not None:
                return dataset.features.arrow_schema, class_names(dataset.features)
            table = next(iter(dataset.with_format("arrow").iter(1)), None)
        return table.schema if table else pa.schema([]), {}

    def _check_columns(self, location: str, schema: pa.Schema, classes: ClassNames) -> None:
        check_columns(location, self._wanted, schema.names)
        check_types(location, self._wanted, schema, classes)

    def _check_splits(self, builder: Any, part: Part, spec: str, slices: Iterable[Slice]) -> None:
        splits = [str(split) for split in builder.config.data_files or builder.info.splits]
        for piece in slices:
            if piece.split not in splits:
                raise DataError(
                    f"You set data.{part}={spec}, but {self._location(None)} has no split {piece.split}. It has: "
                    f"{names_excerpt(splits)}.{did_you_mean(piece.split, splits)}"
                )

    def _location(self, split: str | None) -> str:
        return ", ".join(filter(None, [self._config.path, self._config.config, split]))

    def _check_streaming(self) -> None:
        """Check that no slice needs the number of rows, which is unknown when streaming."""
        for part, specs in self._specs.items():
            for spec, slices in specs.items():
                if self._config.streaming and any(piece.is_relative for piece in slices):
                    raise ConfigError(
                        f"You set data.streaming=true and data.{part}={spec}, but how many rows there are is not known "
                        "while they arrive. Count them from the beginning, as in train[:5000], or set "
                        "data.streaming=false."
                    )


def _check_id(path: str) -> None:
    if path.startswith(("/", "./", "../", "~")):
        raise DataError(f"You set data.path={path}, but there is no such folder.{_suggestion(Path(path).expanduser())}")
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", path):
        raise DataError(
            f"You set data.path={path}, which is no folder here and no id of a dataset: those have an owner and a "
            f"name, such as stanfordnlp/imdb.{_suggestion(Path(path))}"
        )


def _suggestion(folder: Path) -> str:
    siblings = [other.name for other in folder.parent.iterdir()] if folder.parent.is_dir() else []
    return did_you_mean(folder.name, siblings)
