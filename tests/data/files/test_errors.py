"""Paths that lead nowhere and files that are wrong inside: what is said about them."""

from __future__ import annotations

import contextlib
import gzip
import json
import os
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from passingloop.data.files.source import Files
from passingloop.errors import DataError
from tests.data.conftest import refuse

CSV = "text,label\na,b\n"
JSONL = '{"text":"a","label":"b"}\n'
GZIP = gzip.compress(CSV.encode())
SCRAPS = [
    b"text,label\n",
    b'"',
    b",",
    b"\n",
    b"\r",
    b"{",
    b"}",
    b'"text":',
    b'"label":',
    b"null",
    GZIP,
    b"PAR1",
]
LONG = "x" * (9 << 20)
CHAT = [{"role": "user", "content": "a"}]


PATHS = [
    ("train", "{}/trian.csv", "data.train={}/trian.csv, but {}/trian.csv does not exist. Did you mean train"),
    ("test", "{}/dta/a.csv", "data.test={}/dta/a.csv, but {}/dta does not exist. Did you mean data?"),
    ("train", "{}/*.cvs", "nothing in {} matches. It has: a, a.csv.bz2, a.json, a.parquet.gz, a.tar.gz,"),
    ("train", "{}/data/**/*.tsv", "nothing in {}/data matches. It has: a.jsonl."),
    ("validation", "{}/data", "data.validation={}/data, but that is a folder. Name its files, for instance "
                              "data.validation={}/data/*.jsonl"),
    ("train", "{}/empty", "for instance data.train={}/empty/*.csv"),
    ("train", "/dev/null", "/dev/null, but that is no file"),
    ("train", "{}/pipe.csv", "{}/pipe.csv, but that is no file. Data are read more than once."),
    ("train", "{}/link.csv", "{}/link.csv, but that is a link to gone.csv, which does not exist."),
    ("train", "{}/circle.csv", "{}/circle.csv, but that is a link to circle.csv, which does not exist."),
    ("train", "{}/train.csv/x", "{}/train.csv/x does not exist."),
    ("train", "{}/" + "x" * 300, "File name too long"),
    ("train", "{}/a.xlsx", "The name of {}/a.xlsx does not tell its format."),
    ("train", "{}/a.csv.bz2", "A compressed file ends in .gz or .zst"),
    ("train", "{}/a.json", "Did you mean .jsonl?"),
    ("train", "{}/a", "The name of {}/a does not tell its format. A compressed file ends in .gz"),
    ("train", "{}/a.tar.gz", "The name of {}/a.tar.gz does not tell its format."),
    ("train", "{}/a.parquet.gz", "{}/a.parquet.gz is a Parquet file that is compressed again"),
    ("train", "{}/notes.txt", "{}/notes.txt is plain text, which has no labels, but task=classification"),
]  # fmt: skip


@pytest.mark.parametrize(("key", "value", "message"), PATHS, ids=[value for _, value, _ in PATHS])
def test_what_is_not_there_is_said_at_once(key, value, message, tmp_path: Path, data_config) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "empty").mkdir()
    for name in (
        "train.csv",
        "data/a.jsonl",
        "a.xlsx",
        "a.csv.bz2",
        "a.json",
        "a.parquet.gz",
        "notes.txt",
        "a",
        "a.tar.gz",
    ):
        (tmp_path / name).write_text(CSV)
    (tmp_path / "link.csv").symlink_to("gone.csv")
    (tmp_path / "circle.csv").symlink_to("circle.csv")
    os.mkfifo(tmp_path / "pipe.csv")
    chosen = {"train": str(tmp_path / "train.csv"), key: value.format(tmp_path)}
    with pytest.raises(DataError) as caught:
        Files(data_config(**chosen), "classification")
    assert message.replace("{}", str(tmp_path)) in str(caught.value)


# What is wrong inside a file

BAD_FILES: list[tuple[str, bytes | str, str]] = [
    # empty
    ("a.csv", "", "{} has no examples"),
    ("a.csv", "text,label\n", "{} has no examples"),
    ("a.jsonl", "\n\n", "{} has no examples"),
    ("a.csv.gz", "", "{} has no examples"),
    ("a.parquet", "", "Cannot read {}: it is damaged, or of another format"),
    # columns
    ("a.csv", "txt,category,label\na,b,c\n", "has no column text. It has: txt, category, label. Did you mean txt?"),
    ("a.csv", "TEXT,label\na,b\n", "Did you mean TEXT?"),
    ("a.csv", "text\tlabel\na\tb\n", "You set data.text=text, but {} has no column text. It has: text"),
    ("a.csv", "text,text,label\na,b,c\n", "{} has 2 columns named text"),
    ("a.csv", "I liked it.,1\nI did not.,0\n", "It has: I liked it., 1. The first line looks like data"),
    ("a.jsonl", '{"text":"a","lable":"b"}\n', "{} has no column label. It has: text, lable. Did you"),
    ("a.csv", "text;label\na;b\n", "It has: text;label. Its columns seem to be separated by semicolons: write it"),
    ("a.csv", "text|label\na|b\n", "Its columns seem to be separated by bars: write it with commas, or as JSONL."),
    ("a.csv", "text\tlabel\na\tb\n", "Its columns seem to be separated by tabs: set data.format=tsv."),
    ("a.tsv", "text,label\na,b\n", "Its columns seem to be separated by commas: set data.format=csv."),
    ("a.csv", " text, label\na,b\n", "It has:  text,  label. Did you mean  text?"),
    ("a.csv", "\n\n\n", "{} has no examples"),
    ("a.jsonl", "{}", "{} has no column text. It has: none."),
    ("a.jsonl", json.dumps({f"c{n}": n for n in range(30)}), "c19 and 10 more."),
    # rows of CSV
    ("a.csv", 'text,label\n"one\ntwo",x\na,b,c\n', "{}, line 4: 3 fields, but the header has 2"),
    ("a.tsv", "text\tlabel\na\tb\nc\n", "{}, line 3: 1 field, but the header has 2"),
    ("a.csv", 'text,label\na,b\n"c,d\ne,f\n', "{}, line 3: a quote that is opened here is not closed"),
    ("a.csv", 'text,label\na,b\nc,"d\ne,f\ng,h\n', "{}, line 3: a quote that is opened here is not closed"),
    ("a.csv", 'text,label\na,b\n"' + "y\n" * (3 << 20), "{}, line 3: a field that begins here is longer"),
    ("a.csv", '"text,label\n' + "x" * 200_000, "{}, line 1: this is no header"),
    ("a.csv", "text,label\n" + LONG + ",a\n", "{}, line 2: a field that begins here is longer"),
    ("a.csv", "text,label\n" + ",\n" * 9 + LONG, "{}, line 11: a field that begins here is"),
    ("a.csv", "text,label\n" + "x," * (4 << 20) + ",a\n", "{}, line 2: 4194306 fields, but the header has 2"),
    # encodings
    ("a.csv", b"text,label\nok,x\nna\xefve,x\n", "{}, line 3: byte 0xef is not UTF-8"),
    ("a.csv", b"t\xebxt,label\na,b\n", "{}, line 1: byte 0xeb is not UTF-8"),
    ("a.csv", "text,label\na,b\n".encode("utf-16"), "{} is UTF-16, not UTF-8"),
    ("a.csv", CSV.encode("utf-16-le"), "{} is UTF-16, not UTF-8. Convert it, for instance with iconv -f utf-16le"),
    ("a.csv", CSV.encode("utf-16-be"), "{} is UTF-16, not UTF-8. Convert it, for instance with iconv -f utf-16be"),
    ("a.csv", CSV.encode("utf-32"), "{} is UTF-32, not UTF-8. Convert it, for instance with iconv -f utf-32"),
    ("a.jsonl", JSONL.encode("utf-16"), "{} is UTF-16, not UTF-8"),
    ("a.csv.gz", gzip.compress(CSV.encode("utf-16")), "{} is UTF-16, not UTF-8"),
    ("a.csv", bytes(1000), "{} begins with nothing but zeros, as a crash or a full disk leaves behind."),
    # other formats under a wrong name
    ("a.csv", b"PK\x03\x04\x14\0", "{} is a zip archive, as Excel's files are, too. Unpack it"),
    ("a.csv", GZIP, "{} is compressed with gzip. Add .gz to its name."),
    ("a.csv.gz", gzip.compress(GZIP), "{} is compressed with gzip. Add .gz to its name."),
    ("a.jsonl", pa.compress(JSONL.encode(), "zstd", asbytes=True), "{} is compressed with zstd. Add .zst to its name."),
    ("a.csv", b"PAR1\x15\x04", "{} is Parquet. Name it so (.parquet), or set data.format=parquet."),
    ("a.csv", b"SQLite format 3\0\x10", "{} is an SQLite database. Read it with data=sql, or export the table as CSV."),
    ("a.jsonl", CSV, "{}, line 1: not valid JSON (Expecting value, column 1). JSONL has one object per line."),
    ("a.jsonl", b'{"text":"a","label":"b"}\n\n{"text":"\xff"}\n', "{}, line 3: byte 0xff is not UTF-8"),
    ("a.jsonl.gz", gzip.compress(b"\xff\n"), "{}, line 1: byte 0xff is not UTF-8"),
    ("a.jsonl", '{"text":"\\ud800","label":"b"}\n', "{}, line 1: holds half of a surrogate pair ('\\ud800')"),
    # rows of JSONL
    ("a.jsonl", '{"text":"a","label":"b"}\n{"text":\n', "{}, line 2: not valid JSON (Expecting value"),
    ("a.jsonl", "[\n", "{}, line 1: not valid JSON"),
    ("a.jsonl", '["a"]\n', "{}, line 1: is a list, but must be an object"),
    ("a.jsonl", '{"text":"a","label":"b"}{"text":"c","label":"d"}', "{}, line 1: not valid JSON (Extra data"),
    ("a.jsonl", '{\n"text":"a"\n}\n', "{}, line 1: not valid JSON (Expecting property name"),
    ("a.jsonl", "null\n", "{}, line 1: is null, but must be an object"),
    ("a.jsonl", '{"text":"a","label":NaN}', "label (data.label=label) is NaN, but a label must be text"),
    ("a.jsonl", '{"text":"a","label":' + "9" * 5000 + "}", "{}, line 1: Python cannot read this JSON (Exceeds"),
    ("a.jsonl", "[" * 100_000, "{}, line 1: Python cannot read this JSON"),
    ("a.jsonl", '{"text":5,"label":"b"}\n', "{}, line 1: text (data.text=text) is a number, but must"),
    ("a.jsonl", '{"text":{},"label":"b"}\n', "text (data.text=text) is an object, but must be text"),
    ("a.jsonl", '{"text":"a","label":true}\n', "{}, line 1: label (data.label=label) is true, but a"),
    ("a.jsonl", '{"text":"a","label":3.0}\n', "label (data.label=label) is 3.0, but a label must be text"),
    ("a.jsonl", '{"text":"a","label":["b"]}\n', "label (data.label=label) is a list, but a label must"),
    # damage
    ("a.csv.gz", gzip.compress(CSV.encode())[:-9], "Cannot read {}: it is damaged or incomplete (Tr"),
    ("a.jsonl.gz", gzip.compress(JSONL.encode())[:-9], "Cannot read {}: it is damaged or incomplete (Tr"),
    ("a.jsonl.zst", pa.compress(JSONL.encode(), "zstd", asbytes=True)[:-3], "{}: it is damaged or inc"),
    ("a.csv.gz", CSV, "Cannot read {}: it is damaged or incomplete"),
    ("a.parquet", b"PAR1" + bytes(100) + b"\x14\0\0\0PAR1", "Cannot read {}: it is damaged or incomplete"),
    ("a.csv.gz", GZIP + b"more", "Cannot read {}: it is damaged or incomplete"),
    ("a.jsonl.zst", JSONL, "Cannot read {}: it is damaged or incomplete (ZSTD decompress failed"),
    ("a.parquet", CSV, "Cannot read {}: it is damaged, or of another format"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "data", "message"), BAD_FILES, ids=[f"{n}-{m[:50]}" for n, _, m in BAD_FILES])
def test_a_bad_file_is_named_with_the_place(name, data, message, tmp_path: Path, read) -> None:
    with pytest.raises(DataError) as caught:
        read(name, data)
    assert message.replace("{}", str(tmp_path / name)) in str(caught.value)


BAD_CHATS: list[tuple[Any, str]] = [
    ([], "chat (data.messages=chat) is an empty list, but must be a list of messages"),
    ("Hello", "is text, but must be a list of messages"),
    (["Hello"], "message 1 is text, but must be an object with role and content"),
    ([{"role": "user", "content": "a"}, {"role": "user"}], "message 2 has no content. It has: role."),
    ([{}], "message 1 has no role. It has: nothing."),
    ([{"role": "user", "content": None}], "message 1: content is null, but must be text"),
    ([{"role": 1, "content": "a"}], "message 1: role is a number, but must be text"),
    ([{"role": "user", "content": "\ud800"}], "holds half of a surrogate pair"),
]


@pytest.mark.parametrize(("chat", "message"), BAD_CHATS)
def test_a_bad_chat_is_named_with_the_line(chat: Any, message: str, tmp_path: Path, read) -> None:
    lines = [json.dumps({"chat": CHAT}), json.dumps({"chat": chat})]
    with pytest.raises(DataError) as caught:
        read("a.jsonl", "\n".join(lines), task="causal_lm", messages="chat")
    assert str(caught.value).startswith(f"{tmp_path / 'a.jsonl'}, line 2: ")
    assert message in str(caught.value)


@pytest.mark.parametrize("name", ["a.csv", "a.txt"])
def test_chats_need_a_format_that_holds_them(name: str, read) -> None:
    with pytest.raises(DataError, match=r"data\.messages=chat, but .* holds no chats"):
        read(name, "chat\na\n", task="causal_lm", messages="chat")


BAD_COLUMNS = [
    ({"text": pa.array([1, 2]), "label": pa.array(["x", "y"])}, {}, "the type int64. It must be text"),
    ({"text": pa.array(["a"]), "label": pa.array([1.5])}, {}, "double. It must be text or whole numbers"),
    ({"text": pa.array(["a"]), "label": pa.array([True])}, {}, "but in {} that column has the type bool"),
    ({"text": pa.array([b"a"]), "label": pa.array(["x"])}, {}, "the type binary. It must be text"),
    ({"text": pa.array([["a"]]), "label": pa.array(["x"])}, {}, "the type list<element: string>. It must be"),
    ({"text": pa.array(["a"]), "label": pa.array([["x"]])}, {}, "It must be text or whole numbers"),
    ({"label": pa.array(["a"])}, {}, "You set data.text=text, but {} has no column text. It has: label."),
    ({"text": pa.nulls(0), "label": pa.nulls(0)}, {}, "{} has no examples"),
    ({"chat": pa.array([["a"]])}, {"messages": "chat"}, "be a list of messages with role and content"),
    ({"chat": pa.array([CHAT, []])}, {"messages": "chat"}, "{}, row 1 (from 0): chat (data.messages=chat) is"),
]  # fmt: skip


@pytest.mark.parametrize(("columns", "chosen", "message"), BAD_COLUMNS, ids=[m for *_, m in BAD_COLUMNS])
def test_a_bad_parquet_column_is_named(columns, chosen, message, tmp_path: Path, data_config) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table(columns), path)
    source = Files(data_config(train=str(path), **chosen), "causal_lm" if chosen else "classification")
    with pytest.raises(DataError) as caught:
        list(source.read("train", refuse))
    assert message.replace("{}", str(path)) in str(caught.value)


def test_parquet_that_is_not_utf8_is_named_with_the_row(tmp_path: Path, data_config) -> None:
    path = tmp_path / "a.parquet"
    values = [b"ok"] * 5000 + [b"\xff"]
    text = pa.array(values, pa.binary()).view(pa.string())
    pq.write_table(pa.table({"text": text}), path)
    with pytest.raises(DataError, match=r"row 5000 \(from 0\): text is not UTF-8"):
        list(Files(data_config(train=str(path)), "causal_lm").read("train", refuse))


def test_a_file_one_may_not_read(tmp_path: Path, data_config) -> None:
    path = tmp_path / "a.csv"
    path.write_text(CSV)
    path.chmod(0)
    source = Files(data_config(train=str(path)), "classification")
    was = os.geteuid()
    try:
        if was == 0:
            os.seteuid(65534)  # root may read anything
        for use in (lambda part: source.read(part, refuse), source.identity):
            with pytest.raises(DataError, match=r"Cannot read .*a\.csv: Permission denied\."):
                list(use("train"))
    finally:
        os.seteuid(was)


def test_a_folder_one_may_not_look_into(tmp_path: Path, data_config) -> None:
    folder = tmp_path / "closed"
    folder.mkdir()
    (folder / "a.csv").write_text(CSV)
    folder.chmod(0)
    was = os.geteuid()
    try:
        if was == 0:
            os.seteuid(65534)
        for pattern in ("a.csv", "*.csv"):
            with pytest.raises(DataError, match=r"Cannot read .*csv: Permission denied\."):
                Files(data_config(train=str(folder / pattern)), "classification")
    finally:
        os.seteuid(was)
        folder.chmod(0o700)


def test_parquet_that_is_cut_short_or_damaged_inside(tmp_path: Path, data_config) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"text": [str(n) for n in range(10_000)]}), path)
    whole = path.read_bytes()
    for data in (whole[:-100], whole[:1000] + b"\xff" * 100 + whole[1100:]):
        path.write_bytes(data)
        with pytest.raises(DataError, match=r"Cannot read .*a\.parquet: it is damaged"):
            list(Files(data_config(train=str(path)), "causal_lm").read("train", refuse))


def test_a_file_that_went_away(tmp_path: Path, data_config) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(JSONL)
    source = Files(data_config(train=str(path)), "classification")
    path.unlink()
    with pytest.raises(DataError, match=r"Cannot read .*a\.jsonl: No such file"):
        list(source.read("train", refuse))


@pytest.mark.parametrize("name", ["a.csv", "a.jsonl", "a.parquet", "a.csv.gz", "a.jsonl.zst"])
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.one_of(st.binary(max_size=9), st.sampled_from(SCRAPS))).map(b"".join))
def test_whatever_the_bytes_are_there_are_rows_or_an_error(name: str, read, data: bytes) -> None:
    with contextlib.suppress(DataError):
        assert read(name, data)
