"""Examples from files: CSV, TSV, JSONL, Parquet and plain text, also of several formats together."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa

from passingloop.config.data import PARTS, Fingerprint, FormattedData, Part
from passingloop.config.settings import Task
from passingloop.data.cache.digests import file_sha256
from passingloop.data.files.csv import FIRST_LINE, read_csv
from passingloop.data.files.csv_faults import dialect_of
from passingloop.data.files.errors import read_errors
from passingloop.data.files.formats import Format, format_of
from passingloop.data.files.jsonl import read_jsonl
from passingloop.data.files.parquet import read_parquet
from passingloop.data.files.paths import find_files
from passingloop.data.files.plain_text import read_text
from passingloop.data.files.settings import FilesData
from passingloop.data.rows.batches import number_rows
from passingloop.data.rows.columns import schema_of, wanted_columns
from passingloop.data.rows.places import Pieces
from passingloop.data.source import Reject
from passingloop.errors import DataError
from passingloop.tasks.task import learning_task

CHARACTERS_PER_TOKEN = 4
"""An estimate for English and a vocabulary of some ten thousand tokens, for the length of passages of plain text."""

PASSAGE_TOKENS = 1024
"""Length of a passage if `data.max_length` is null."""


class Files:
    """The source of `data=files`."""

    def __init__(
        self, config: FilesData, task: Task, cache_root: Path | None = None, kept: Fingerprint | None = None
    ) -> None:
        """Find the files, without opening them.

        Args:
            cache_root: where the digests of large files are stored; None: they are not.
            kept: has no effect, as files have no versions.

        Raises:
            DataError: a path or glob names no file, or a file has an unknown format, or one that cannot hold the
                examples of the task.
        """
        self._config, self._cache_root = config, cache_root
        self._schema = schema_of(config, task)
        self._wanted = wanted_columns(config, task)
        self._pieces: dict[Part, Pieces] = {}
        patterns = {part: getattr(config, part) for part in PARTS}
        self._paths = {part: find_files(f"data.{part}", paths) for part, paths in patterns.items() if paths}
        for path in (path for paths in self._paths.values() for path in paths):
            check_format(path, config, task)

    def parts(self) -> tuple[Part, ...]:
        """The parts for which files are configured."""
        return tuple(self._paths)

    def check(self) -> None:
        """Read the first batch of every part.

        Raises:
            DataError: a column is missing, the batch cannot be read, or a line of it cannot and `data.on_bad` is fail.
        """
        for part in self.parts():
            next(self.read(part, self._refuse), None)

    def size(self) -> int:
        """Bytes of the files, as stored."""
        return sum(path.stat().st_size for paths in self._paths.values() for path in paths)

    def identity(self, part: Part) -> dict[str, str]:
        """The absolute path of every file, mapped to its format and the SHA-256 of its bytes.

        Raises:
            DataError: a file cannot be read.
        """
        return {str(path): f"{format_of(path, self._config)} {self._digest(path)}" for path in self._paths[part]}

    def read(self, part: Part, reject: Reject) -> Iterator[pa.RecordBatch]:
        """The examples, file by file, in batches of a few thousand rows at most.

        Raises:
            DataError: a file cannot be read, lacks a column, or has no examples.
        """
        pieces = self._pieces[part] = Pieces()
        for path in self._paths[part]:
            examples, recorder = 0, _RejectRecorder(reject)
            with read_errors(path):
                batches = self._batches(path, recorder)
                for batch in number_rows(batches, pieces, str(path), *numbering(format_of(path, self._config))):
                    examples += batch.num_rows
                    yield batch
            if not examples:
                reason = f" None of its lines can be used. {recorder.first}" if recorder.first else ""
                raise DataError(f"{path} has no examples.{reason} Leave it out, or see why it is empty.")

    def pieces(self, part: Part) -> Pieces:
        """The files that have been read so far."""
        return self._pieces[part]

    def _digest(self, path: Path) -> str:
        with read_errors(path):
            return file_sha256(path, self._cache_root)

    def _refuse(self, problem: DataError) -> None:
        if self._config.on_bad == "fail":
            raise DataError(
                f"{problem} Correct it, or set data.on_bad=drop to go on without such lines. `passingloop prepare` "
                "counts them."
            )

    def _batches(self, path: Path, reject: Reject) -> Iterator[pa.RecordBatch]:
        """The batches of one file; the column `row` counts from 0 in the file."""
        fields = list(self._schema)
        match format_of(path, self._config):
            case "csv" | "tsv" as kind:
                return read_csv(path, dialect_of(self._config, kind), self._wanted, fields, reject)
            case "jsonl":
                return read_jsonl(path, self._wanted, fields, reject)
            case "parquet":
                return read_parquet(path, self._wanted, fields, reject)
            case "text":
                return read_text(path, CHARACTERS_PER_TOKEN * (self._config.max_length or PASSAGE_TOKENS), fields)


def numbering(kind: Format) -> tuple[str, int]:
    """The unit that is counted in files of a format, line or row, and the number of the first row."""
    if kind == "parquet":
        return "row", 0
    return "line", FIRST_LINE if kind in ("csv", "tsv") else 1


def check_format(path: Path, config: FormattedData, task: Task) -> None:
    """Check that files of the format of `path` can hold the examples of the task.

    Raises:
        DataError: they cannot, or the format is unknown.
    """
    file_format = format_of(path, config)
    if file_format == "text" and learning_task(task).label is not None:
        raise DataError(
            f"{path} is plain text, which has no labels, but task={task} needs them. "
            "Use CSV, TSV, JSONL or Parquet, or set task=causal_lm."
        )
    if file_format in ("csv", "tsv") and "labels" in [kind for kind, _ in learning_task(task).columns(config)]:
        raise DataError(
            f"You set task={task}, but {path} is {file_format} and holds no lists. Set data.label_separator to what "
            "stands between labels, or use JSONL or Parquet."
        )
    if file_format in ("csv", "tsv", "text") and config.messages is not None:
        raise DataError(
            f"You set data.messages={config.messages}, but {path} is {file_format} and holds no chats. Use JSONL "
            "or Parquet."
        )


class _RejectRecorder:
    """Passes faults on to another callback, and records the first one."""

    def __init__(self, reject: Reject) -> None:
        self._reject = reject
        self.first: DataError | None = None

    def __call__(self, problem: DataError) -> None:
        self.first = self.first or problem
        self._reject(problem)
