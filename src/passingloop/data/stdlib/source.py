"""Docstrings of the running Python's standard library, each labelled with its module: real text, no download.

The library's files are parsed, not imported. The text is the first paragraph of a docstring, with normalised white
space. A text that occurs with two labels is left out; one that occurs several times with the same label is used once.
Examples are sorted by label and text.
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

TEXT_LENGTHS = range(20, 301)
"""Lengths in characters of the paragraphs that are used: shorter ones have no content, longer ones are rare."""

MIN_TEXTS = 60
"""A module is a class if it has so many texts. CPython 3.11 has 22 classes and 3,664 texts."""

VERSION = 1
"""Version of the rules by which texts are taken; every change of them must raise it."""

TEST_FOLDERS = {"test", "tests", "idle_test"}
EXCLUDED = {"idlelib", "lib2to3", "distutils"}
"""Modules that are not used: an application, and two packages that Python 3.12 and 3.13 do not have."""

Defined = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
_BLANK_LINE = re.compile(r"\n\s*\n")


class StdlibDocs:
    """The source of `data=stdlib_docs`; it has one part, `train`."""

    def __init__(self, config: StdlibData, task: Task, cache_root: Path, kept: Fingerprint | None = None) -> None:
        """For a task without labels the source gives texts alone. The other arguments have no effect."""
        self._task = task
        self._pieces = Pieces()

    def parts(self) -> tuple[Part, ...]:
        """`train`; the other parts are split off it."""
        return ("train",)

    def check(self) -> None:
        """Check that this Python has the source files of its standard library.

        Raises:
            DataError: it does not.
        """
        if self.size() == 0:
            raise _no_sources_error(_library_folder())

    def size(self) -> int:
        """Bytes of the library's source files."""
        return sum(path.stat().st_size for _, path in _source_files(_library_folder()))

    def identity(self, part: Part) -> dict[str, str]:
        """Python's version, and a SHA-256 of the labels and source files.

        The texts are not hashed: parsing all files takes seconds, and every attempt needs the identity.
        """
        assert part == "train"
        digest = sha256(f"{VERSION}".encode())
        for label, path in _source_files(_library_folder()):
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
        """The files of the library. A row is the line of the first docstring with the text."""
        assert part == "train"
        return self._pieces

    @cached_property
    def _examples(self) -> list[tuple[str, str, int]]:
        """Label, text and row of each example."""
        folder = _library_folder()
        rows: defaultdict[str, dict[str, int]] = defaultdict(dict)
        for label, path in _source_files(folder):
            source = path.read_bytes()
            first = self._pieces.begin(str(path), "line", 1)
            self._pieces.extend(first + source.count(b"\n") + 1)
            for line, text in _first_paragraphs(source):
                rows[text].setdefault(label, first + line - 1)
        unambiguous = sorted(
            (label, text, row)
            for text, by_label in rows.items()
            if len(by_label) == 1
            for label, row in by_label.items()
        )
        count = Counter(label for label, _, _ in unambiguous)
        examples = [example for example in unambiguous if count[example[0]] >= MIN_TEXTS]
        if not examples:
            raise _no_sources_error(folder)
        return examples


def _no_sources_error(folder: Path) -> DataError:
    return DataError(
        f"You set data=stdlib_docs, but {folder} does not hold the standard library's .py files. "
        "Use a Python that comes with them, or set data=files."
    )


def _library_folder() -> Path:
    return Path(sysconfig.get_path("stdlib"))


def _source_files(folder: Path) -> Iterator[tuple[str, Path]]:
    """Label and path of all files of public modules, without tests."""
    for entry in sorted(folder.iterdir()):
        # Names that are not identifiers are those of site-packages, lib-dynload and the like.
        public = entry.stem.isidentifier() and not entry.name.startswith("_")
        if not public or entry.stem in TEST_FOLDERS | EXCLUDED:
            continue
        if entry.suffix == ".py":
            yield entry.stem, entry
        elif entry.is_dir():
            for path in sorted(entry.rglob("*.py")):
                if TEST_FOLDERS.isdisjoint(path.relative_to(folder).parts):
                    yield entry.name, path


def _first_paragraphs(source: bytes) -> Iterator[tuple[int, str]]:
    """The first paragraph of each docstring, and the line where the docstring starts."""
    with warnings.catch_warnings(action="ignore"):  # invalid escapes in the library do not concern the user
        tree = ast.parse(source)
    for node in _definitions(tree):
        docstring = ast.get_docstring(node, clean=False)
        text = " ".join(_BLANK_LINE.split((docstring or "").strip(), maxsplit=1)[0].split())
        if len(text) in TEXT_LENGTHS and text.isprintable():
            yield node.body[0].lineno, text


def _definitions(node: ast.AST) -> Iterator[Defined]:
    """`node` and all definitions in it, at any depth. Expressions have none, and are skipped to save time."""
    if isinstance(node, Defined):
        yield node
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.stmt | ast.excepthandler | ast.match_case):
            yield from _definitions(child)
