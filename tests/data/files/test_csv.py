"""Quotes in CSV files: what they enclose is kept, and a row in which they are misplaced is a fault of that row."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from passingloop.data.files.source import Files
from passingloop.errors import ConfigError, DataError
from tests.conftest import Compose
from tests.data.conftest import DataConfigs
from tests.data.made import HOSTILE, ROUND_TRIP

Rows = list[tuple[str, str]]


@pytest.fixture
def rows_of(tmp_path: Path, data_config: DataConfigs) -> Any:
    """``rows_of(content)``: the rows that are read, and what is said of the others."""

    def rows_of(content: str, name: str = "a.csv", **chosen: Any) -> tuple[Rows, list[str]]:
        path = tmp_path / name
        path.write_text(content, encoding="utf-8", newline="")
        faults: list[DataError] = []
        table = pa.Table.from_batches(
            Files(data_config(train=str(path), **chosen), "classification").read("train", faults.append)
        )
        rows = list(zip(*(column.to_pylist() for column in table.columns[1:]), strict=True))
        assert table["row"].to_pylist() == sorted(set(table["row"].to_pylist()))
        return rows, [str(fault).removeprefix(f"{path}, ") for fault in faults]

    return rows_of


AFTER, BLANK = "text follows a closing quote. A quote inside", "a blank stands before an opening quote"
MISPLACED = [
    ('"a \\"ripe\\" apple",a', AFTER),
    ('"a \\"ripe\\", red apple",a', AFTER),
    ('"a "ripe" apple",a', AFTER),
    ('"a" apple,a', AFTER),
    ('"a",a"b"c,"d"e', AFTER),
    ('"a",a "quote" within', "3 fields"),
    ('"5" disk",a', AFTER),
    ('"a" ,a', AFTER),
    ('"two\nlines" and more,a', AFTER),
    ('a, "b"', BLANK),
    ('"a", "b, c"', BLANK),
]


@pytest.mark.parametrize(("row", "fault"), MISPLACED)
def test_a_misplaced_quote_is_a_fault_of_its_row(rows_of: Any, row: str, fault: str) -> None:
    if fault == "3 fields":  # quotes within a field that does not begin with one are text
        assert rows_of(f"text,label\n{row}\n")[0] == [("a", 'a "quote" within')]
        return
    rows, faults = rows_of(f'text,label\nfirst,a\n{row}\n"last, one",b\n')
    assert rows == [("first", "a"), ("last, one", "b")]
    assert len(faults) == 1
    assert faults[0].startswith(f"line 3: {fault}")


def test_the_message_says_what_to_set(rows_of: Any) -> None:
    [fault] = rows_of('text,label\n"a \\"ripe\\" apple",a\nb,b\n')[1]
    assert "set 'data.csv_escape=\\'" in fault
    assert "set data.csv_quote=null" in fault


@pytest.mark.parametrize("row", ['"5" disk",a', "b,b"])
def test_an_unclosed_quote_is_found_whatever_stands_before_it(rows_of: Any, row: str) -> None:
    """The first row has three quotes, so their number in the file is even."""
    with pytest.raises(DataError, match=r"line 3: a quote that is opened here is not closed\. A quote inside .* must"):
        rows_of(f'text,label\n{row}\nc,"d\ne,f\ng,h\n')


def test_a_header_with_a_misplaced_quote_is_refused(rows_of: Any) -> None:
    with pytest.raises(DataError, match="line 1: this is no header"):
        rows_of('"text"x,label\na,b\n')


def test_quotes_and_escapes_as_they_are_set(rows_of: Any) -> None:
    escaped = 'text,label\n"a \\"ripe\\" apple",a\n"back\\\\slash",b\nplain \\, comma,c\n'
    assert rows_of(escaped, csv_escape="\\") == (
        [('a "ripe" apple', "a"), ("back\\slash", "b"), ("plain , comma", "c")],
        [],
    )
    assert rows_of('text\tlabel\n"Hm" he said\ta\n"5\tb\n', "a.tsv", csv_quote=None)[0] == [
        ('"Hm" he said', "a"),
        ('"5', "b"),
    ]
    assert rows_of("text,label\n'a, b',\"c\n", csv_quote="'")[0] == [("a, b", '"c')]


@ROUND_TRIP
@given(rows=st.lists(st.tuples(HOSTILE, st.sampled_from("ab")), min_size=1, max_size=6))
def test_what_another_program_escapes_is_read_back(rows_of: Any, tmp_path: Path, rows: Rows) -> None:
    rows = [(text.replace("\0", ""), label) for text, label in rows if text]
    with (tmp_path / "made.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, quoting=csv.QUOTE_ALL, doublequote=False, escapechar="\\", lineterminator="\n")
        writer.writerows([("text", "label"), *rows, ("end", "a")])
    content = (tmp_path / "made.csv").read_bytes().decode()
    assert rows_of(content, csv_escape="\\") == ([*rows, ("end", "a")], [])


@pytest.mark.parametrize("word", ["data.csv_escape=\\", "data.csv_escape='\\\\'", 'data.csv_escape="\\\\"'])
def test_a_backslash_on_the_command_line(compose: Compose, word: str) -> None:
    config = compose("data=files", "data.train=a.csv", word)
    assert getattr(config.data, "csv_escape", None) == "\\"


def test_another_quote_on_the_command_line(compose: Compose) -> None:
    config = compose("data=files", "data.train=a.csv", """data.csv_quote="'\"""")
    assert getattr(config.data, "csv_quote", None) == "'"
    assert getattr(compose("data=files", "data.train=a.csv", "data.csv_quote=null").data, "csv_quote", "") is None


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("data.csv_escape=ab", "data.csv_escape must be a single character such as"),
        ("data.csv_quote=','", "data.csv_quote must be a single character"),
        ("data.csv_escape='\"'", "which is data.csv_quote. Leave it out."),
    ],
)
def test_other_characters_are_refused(compose: Compose, word: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        compose("data=files", "data.train=a.csv", word)
