"""Docstrings of the running Python's standard library, each labelled with its module: real text, no download.

The sources are parsed, never imported. Of every docstring the first paragraph is taken, with white space
normalised. A text that occurs under two labels says nothing about either and is left out under both; one that
occurs twice under the same label counts once. The order is that of (label, text).
"""

from __future__ import annotations

import ast
import platform
import re
import sysconfig
import warnings
from collections import Counter, defaultdict
from collections.abc import Iterator
from functools import cached_property
from hashlib import sha256
from pathlib import Path

import numpy as np
import pyarrow as pa

from passingloop.config.data import Fingerprint, Part
from passingloop.config.settings import Task
from passingloop.data.rows.batches import row_column
from passingloop.data.rows.places import Pieces
from passingloop.data.source import LABELLED, UNLABELLED, Reject
from passingloop.data.stdlib.settings import StdlibData
from passingloop.errors import DataError
from passingloop.tasks.task import learning_task

CHARACTERS = range(20, 301)
"""Shorter first paragraphs say nothing, longer ones are rare."""

FEWEST = 60
"""Texts a module must have to be a class. On CPython 3.11: 22 classes, 3,664 texts."""

VERSION = 1
"""Of what is taken from the sources: to be raised with every change of that."""

TESTS = {"test", "tests", "idle_test"}
LEFT_OUT = {"idlelib", "lib2to3", "distutils"}
"""An application, and two packages that Python 3.12 and 3.13 no longer have."""

Defined = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
_BLANK_LINE = re.compile(r"\n\s*\n")


class StdlibDocs:
    """The source behind `data=stdlib_docs`; it has one part, `train`."""

    def __init__(self, config: StdlibData, task: Task, cache_root: Path, kept: Fingerprint | None = None) -> None:
        """A task without labels gets texts alone. Nothing else has an effect: the sources are read as they are."""
        self._task = task
        self._pieces = Pieces()

    def parts(self) -> tuple[Part, ...]:
        """`train`; the other parts are split off it."""
        return ("train",)

    def check(self) -> None:
        """See that this Python has its sources.

        Raises:
            DataError: it has not.
        """
        if self.size() == 0:
            raise _no_sources(_folder())

    def size(self) -> int:
        """Bytes of the sources."""
        return sum(path.stat().st_size for _, path in _sources(_folder()))

    def identity(self, part: Part) -> dict[str, str]:
        """Python's version, and the SHA-256 over the labels and sources that the texts are taken from.

        Not over the texts: to parse all sources takes seconds, and every attempt asks for this.
        """
        assert part == "train"
        digest = sha256(f"{VERSION}".encode())
        for label, path in _sources(_folder()):
            digest.update(f"{label}\0{sha256(path.read_bytes()).hexdigest()}\n".encode())
        return {"python": platform.python_version(), "sources": digest.hexdigest()}

    def read(self, part: Part, reject: Reject) -> Iterator[pa.RecordBatch]:
        """All examples in one batch.

        Raises:
            DataError: this Python has no sources of its standard library.
        """
        assert part == "train"
        labels, texts, rows = zip(*self._examples, strict=True)
        columns = [row_column(np.array(rows)), pa.array(texts), pa.array(labels)]
        schema = UNLABELLED if learning_task(self._task).label is None else LABELLED
        yield pa.RecordBatch.from_arrays(columns[: len(schema)], schema=schema)

    def pieces(self, part: Part) -> Pieces:
        """The files of the library. A row is a line in one of them: where a docstring begins that is met first."""
        assert part == "train"
        return self._pieces

    @cached_property
    def _examples(self) -> list[tuple[str, str, int]]:
        """Label, text and row of each example."""
        folder = _folder()
        rows: defaultdict[str, dict[str, int]] = defaultdict(dict)
        for label, path in _sources(folder):
            source = path.read_bytes()
            first = self._pieces.begin(str(path), "line", 1)
            self._pieces.extend(first + source.count(b"\n") + 1)
            for line, text in _texts(source):
                rows[text].setdefault(label, first + line - 1)
        clear = sorted(
            (label, text, row)
            for text, by_label in rows.items()
            if len(by_label) == 1
            for label, row in by_label.items()
        )
        count = Counter(label for label, _, _ in clear)
        examples = [example for example in clear if count[example[0]] >= FEWEST]
        if not examples:
            raise _no_sources(folder)
        return examples


def _no_sources(folder: Path) -> DataError:
    return DataError(
        f"You set data=stdlib_docs, but {folder} does not hold the standard library's .py files. "
        "Use a Python that comes with them, or set data=files."
    )


def _folder() -> Path:
    return Path(sysconfig.get_path("stdlib"))


def _sources(folder: Path) -> Iterator[tuple[str, Path]]:
    """(label, file) of every module that is public and no test."""
    for entry in sorted(folder.iterdir()):
        # Names that are no identifiers are site-packages, lib-dynload and the like.
        public = entry.stem.isidentifier() and not entry.name.startswith("_")
        if not public or entry.stem in TESTS | LEFT_OUT:
            continue
        if entry.suffix == ".py":
            yield entry.stem, entry
        elif entry.is_dir():
            for path in sorted(entry.rglob("*.py")):
                if TESTS.isdisjoint(path.relative_to(folder).parts):
                    yield entry.name, path


def _texts(source: bytes) -> Iterator[tuple[int, str]]:
    """The first paragraph of each docstring, and the line where that begins."""
    with warnings.catch_warnings(action="ignore"):  # invalid escapes in the library are not the user's
        tree = ast.parse(source)
    for node in _definitions(tree):
        docstring = ast.get_docstring(node, clean=False)
        text = " ".join(_BLANK_LINE.split((docstring or "").strip(), maxsplit=1)[0].split())
        if len(text) in CHARACTERS and text.isprintable():
            yield node.body[0].lineno, text


def _definitions(node: ast.AST) -> Iterator[Defined]:
    """`node` and what is defined in it, at any depth. Expressions hold none; to skip them saves time."""
    if isinstance(node, Defined):
        yield node
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.stmt | ast.excepthandler | ast.match_case):
            yield from _definitions(child)
