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

from passingloop.data.files import Files
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
    ("train", "{}/*.cvs", "nothing in {} matches. It has: a.csv.bz2, a.json, a.parquet.gz, a.xlsx, data"),
    ("train", "{}/data/**/*.tsv", "nothing in {}/data matches. It has: a.jsonl."),
    ("validation", "{}/data", "data.validation={}/data, but that is a folder. Name its files, for instance "
                              "data.validation={}/data/*.jsonl"),
    ("train", "{}/empty", "for instance data.train={}/empty/*.csv"),
    ("train", "/dev/null", "/dev/null, but that is no file"),
    ("train", "{}/train.csv/x", "{}/train.csv/x does not exist."),
    ("train", "{}/" + "x" * 300, "File name too long"),
    ("train", "{}/a.xlsx", "The name of {}/a.xlsx does not tell its format."),
    ("train", "{}/a.csv.bz2", "A compressed file ends in .gz or .zst"),
    ("train", "{}/a.json", "Did you mean .jsonl?"),
    ("train", "{}/a.parquet.gz", "{}/a.parquet.gz is a Parquet file that is compressed again"),
    ("train", "{}/notes.txt", "{}/notes.txt is plain text, which has no labels, but task=classification"),
]  # fmt: skip


@pytest.mark.parametrize(("key", "value", "message"), PATHS, ids=[value for _, value, _ in PATHS])
def test_what_is_not_there_is_said_at_once(key, value, message, tmp_path: Path, data_config) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "empty").mkdir()
    for name in ("train.csv", "data/a.jsonl", "a.xlsx", "a.csv.bz2", "a.json", "a.parquet.gz", "notes.txt"):
        (tmp_path / name).write_text(CSV)
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
    ("a.jsonl", b'{"text":"a","label":"b"}\n\n{"text":"\xff"}\n', "{}, line 3: byte 0xff is not UTF-8"),
    ("a.jsonl.gz", gzip.compress(b"\xff\n"), "{}, line 1: byte 0xff is not UTF-8"),
    ("a.jsonl", '{"text":"\\ud800","label":"b"}\n', "{}, line 1: holds half of a surrogate pair ('\\ud800')"),
    # rows of JSONL
    ("a.jsonl", '{"text":"a","label":"b"}\n{"text":\n', "{}, line 2: not valid JSON (Expecting value"),
    ("a.jsonl", "[\n", "{}, line 1: not valid JSON"),
    ("a.jsonl", '["a"]\n', "{}, line 1: is a list, but must be an object"),
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
    ({"label": pa.array(["a"])}, {}, "You set data.text=text, but {} has no column text. It has: label."),
    ({"text": pa.nulls(0), "label": pa.nulls(0)}, {}, "{} has no examples"),
    ({"chat": pa.array([["a"]])}, {"messages": "chat"}, "be a list of messages with role and content"),
    ({"chat": pa.array([CHAT, []])}, {"messages": "chat"}, "{}, row 1: chat (data.messages=chat) is"),
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
    with pytest.raises(DataError, match="row 5000: text is not UTF-8"):
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
