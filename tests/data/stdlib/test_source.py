"""The docstrings are read from the Python that runs these tests."""

from __future__ import annotations

import sys
from collections import Counter
from importlib.util import find_spec
from pathlib import Path

import pyarrow as pa
import pytest

from passingloop.config.build import build
from passingloop.data.source import LABELLED, UNLABELLED
from passingloop.data.stdlib.settings import StdlibData
from passingloop.data.stdlib.source import EXCLUDED, MIN_TEXTS, StdlibDocs
from tests.data.conftest import refuse

pytestmark = pytest.mark.process

SETTINGS = {"source": "stdlib_docs", "limit": None, "max_length": None, "on_bad": "fail"}


def open_docs(task: str) -> StdlibDocs:
    config = build(StdlibData, SETTINGS | {"validation_fraction": 0.1, "test_fraction": 0.1}, prefix="data.")
    return StdlibDocs(config, task, Path("no cache"))


@pytest.fixture(scope="module")
def docs() -> StdlibDocs:
    return open_docs("classification")


@pytest.fixture(scope="module")
def plain_docs() -> StdlibDocs:
    return open_docs("causal_lm")


@pytest.fixture(scope="module")
def table(docs: StdlibDocs) -> pa.Table:
    return pa.Table.from_batches(docs.read("train", refuse))


def test_there_is_enough_to_learn_from(table: pa.Table) -> None:
    classes = Counter(table["label"].to_pylist())
    assert 18 <= len(classes) <= 30
    assert 2800 <= table.num_rows <= 5000
    assert min(classes.values()) >= MIN_TEXTS
    assert {"asyncio", "email", "logging", "unittest"} <= set(classes)


@pytest.mark.skipif(sys.version_info[:2] != (3, 11), reason="the documented figures are those of CPython 3.11")
@pytest.mark.skipif(find_spec("idlelib") is None, reason="a distribution has left out parts of the standard library")
def test_the_documented_figures(table: pa.Table) -> None:
    # Patch releases add and drop a docstring here and there.
    assert table.num_rows == pytest.approx(3664, rel=0.02)
    assert len(set(table["label"].to_pylist())) in (21, 22, 23)


def test_every_text_is_clean_and_occurs_once(table: pa.Table) -> None:
    texts = table["text"].to_pylist()
    assert len(set(texts)) == len(texts)
    for text in texts:
        assert 20 <= len(text) <= 300
        assert text == " ".join(text.split())
        assert text.isprintable()


def test_tests_private_modules_and_what_is_left_out_are_no_classes(table: pa.Table) -> None:
    labels = set(table["label"].to_pylist())
    assert labels.isdisjoint(EXCLUDED | {"test", "site-packages", "lib-dynload"})
    assert not [label for label in labels if label.startswith("_")]


def test_the_order_is_fixed(table: pa.Table) -> None:
    pairs = list(zip(table["label"].to_pylist(), table["text"].to_pylist(), strict=True))
    assert pairs == sorted(pairs)


def test_a_row_is_the_line_where_a_docstring_begins(docs: StdlibDocs, table: pa.Table) -> None:
    for example in table.slice(0, 50).to_pylist():
        path, unit, line = docs.pieces("train").place(example["row"])
        following = " ".join(" ".join(Path(path).read_text().splitlines()[line - 1 :]).split())
        assert unit == "line"
        assert example["text"].split()[0] in following[:100]


def test_the_schema_follows_the_task(table: pa.Table, plain_docs: StdlibDocs) -> None:
    assert table.schema == LABELLED
    assert pa.Table.from_batches(plain_docs.read("train", refuse), UNLABELLED) == table.drop_columns("label")


def test_the_identity_is_the_same_for_every_task(docs: StdlibDocs, plain_docs: StdlibDocs) -> None:
    identity = docs.identity("train")
    assert identity == plain_docs.identity("train")
    assert identity["python"].startswith(f"{sys.version_info.major}.{sys.version_info.minor}.")
    assert len(identity["sources"]) == 64


def test_the_identity_follows_the_sources(docs: StdlibDocs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sysconfig.get_path", lambda name: str(tmp_path))
    (tmp_path / "queue.py").write_text('"""Who waits first goes first, whoever it may be."""\n')
    (tmp_path / "_private.py").write_text("")
    before = docs.identity("train")
    (tmp_path / "_private.py").write_text("x = 1\n")
    assert docs.identity("train") == before
    (tmp_path / "queue.py").write_text('"""Who waits last goes first, whoever it may be."""\n')
    changed = docs.identity("train")
    assert changed != before
    (tmp_path / "queue.py").rename(tmp_path / "wait.py")
    assert docs.identity("train") not in (before, changed), "the label is another"


def test_parsing_imports_nothing() -> None:
    source = open_docs("classification")
    loaded = set(sys.modules)
    assert next(source.read("train", refuse)).num_rows
    assert set(sys.modules) == loaded
    assert source.parts() == ("train",)
