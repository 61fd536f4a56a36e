"""Every message that names a row names the file and the line that an editor shows, or the row of a table."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from passingloop.data.files.settings import FilesData
from passingloop.data.files.source import Files
from passingloop.data.rows.places import Pieces, Place, describe_places
from passingloop.errors import DataError

TEXTS = ["first", "second\nline", 'a "quote",\r\nand more', "x" * 99, "last"]
BAD = {"csv": "one,two,three,four\n", "tsv": "one\n", "jsonl": "[]\n"}


def write(kind: str, path: Path) -> None:
    """Each text between bad and blank lines."""
    if kind == "parquet":
        texts = [text.encode() for wanted in TEXTS for text in ("caf\xe9", wanted)]
        texts[::2] = [b"caf\xe9"] * len(TEXTS)
        pq.write_table(pa.table({"text": pa.array(texts, pa.binary()).view(pa.string()), "label": ["a"] * 10}), path)
        return
    lines = "" if kind == "jsonl" else "text\tlabel\n" if kind == "tsv" else "text,label\n"
    for number, text in enumerate(TEXTS):
        cell = io.StringIO()
        csv.writer(cell, delimiter="\t" if kind == "tsv" else ",", lineterminator="\n").writerow([text, "a"])
        good = json.dumps({"text": text, "label": "a"}) + "\n" if kind == "jsonl" else cell.getvalue()
        lines += BAD[kind] * number + "\n" * (number % 2) + good
    path.write_bytes((lines + BAD[kind]).encode())


def number_of(text: str, kind: str, path: Path) -> int:
    """The line, from 1, in which the text begins; of Parquet the row, from 0."""
    if kind == "parquet":
        return 1 + 2 * TEXTS.index(text)
    begins = json.dumps(text)[1:] if kind == "jsonl" else text.splitlines()[0].replace('"', '""')
    [line] = [number for number, line in enumerate(path.read_text().split("\n"), 1) if begins in line]
    return line


@pytest.mark.parametrize("kind", ["csv", "tsv", "jsonl", "parquet"])
def test_rows_are_found_in_their_files(kind: str, tmp_path: Path, data_config: Callable[..., FilesData]) -> None:
    paths = [tmp_path / f"{name}.{kind}" for name in "ab"]
    for path in paths:
        write(kind, path)
    source = Files(data_config(train=[str(path) for path in paths], on_bad="drop"), "classification")
    rejected: list[Any] = []
    rows = [row for batch in source.read("train", rejected.append) for row in batch.to_pylist()]
    assert [row["text"] for row in rows] == TEXTS * 2
    unit = "row" if kind == "parquet" else "line"
    assert [source.pieces("train").place(row["row"]) for row in rows] == [
        Place(str(path), unit, number_of(text, kind, path)) for path in paths for text in TEXTS
    ]
    if kind != "parquet":
        bad = [
            f"{path}, line {number}"
            for path in paths
            for number, line in enumerate(path.read_text().split("\n"), 1)
            if line == BAD[kind].strip()
        ]
        assert [str(problem).split(": ")[0] for problem in rejected] == bad


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.sampled_from(["a", ",", '"', '""', "\n", "\r\n", "\r", " ", '",', '"\n', "é"]), max_size=25))
def test_pyarrow_and_csv_agree_on_rows(tmp_path: Path, data_config: Callable[..., FilesData], text: list[str]) -> None:
    """Lines are told by Python's csv, texts by pyarrow: they must see the same rows."""
    path = tmp_path / "a.csv"
    path.write_bytes(("text,label\nfirst,a\n" + "".join(text) + ('"' * ("".join(text).count('"') % 2))).encode())
    with suppress(DataError):  # a quote that is not closed, behind one within a field
        list(Files(data_config(train=str(path), on_bad="drop"), "classification").read("train", lambda _: None))


def test_pieces_are_read_as_they_were_written(tmp_path: Path) -> None:
    pieces = Pieces()
    pieces.begin("a.csv", "line", 2)
    pieces.extend(10)
    pieces.begin("empty", "line", 1)
    pieces.begin("b.parquet")
    pieces.write(tmp_path)
    places = [Pieces.read(tmp_path).place(row) for row in (0, 9, 10)]
    assert places == [("a.csv", "line", 2), ("a.csv", "line", 11), ("b.parquet", "row", 0)]
    assert describe_places(places) == "a.csv, lines 2, 11; b.parquet, row 0 (from 0)"


def test_tokens_of_earlier_versions_tell_no_pieces(tmp_path: Path) -> None:
    (tmp_path / "train").mkdir()
    assert str(Pieces.read(tmp_path / "train").place(3)) == "train data, row 3 (from 0)"
