"""Real files in a temporary folder: what is read from them, and what is said about those that cannot be."""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import json
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from passingloop.data.files.source import Files
from passingloop.data.source import CHAT, LABELLED, UNLABELLED, open_source
from tests.data.conftest import refuse
from tests.data.made import HOSTILE, ROUND_TRIP, messages

CHAT_ROWS = [
    [{"role": "user", "content": "Are you there?"}, {"role": "assistant", "content": "Ja – да."}],
    [{"role": "system", "content": ""}],
]
LABELLED_ROWS = [('a, "b"\r\nc', "007"), ("NA", "null"), ("nan", "N/A"), ("ünï\u2028cödé 🚂", "7")]


def encode_csv(rows: list[tuple[str, str]], delimiter: str = ",") -> bytes:
    out = io.StringIO(newline="")
    csv.writer(out, delimiter=delimiter, quoting=csv.QUOTE_ALL).writerows([("text", "label"), *rows])
    return out.getvalue().encode()


def encode_jsonl(rows: list[tuple[str, str]]) -> bytes:
    return b"".join(json.dumps({"text": text, "label": label}).encode() + b"\n" for text, label in rows)


def encode_parquet(rows: list[tuple[str, str]]) -> bytes:
    out = io.BytesIO()
    texts, labels = zip(*rows, strict=True)
    pq.write_table(pa.table({"label": labels, "other": [1.5] * len(rows), "text": texts}), out)
    return out.getvalue()


ENCODED = {
    "csv": encode_csv(LABELLED_ROWS),
    "tsv": encode_csv(LABELLED_ROWS, "\t"),
    "jsonl": encode_jsonl(LABELLED_ROWS),
    "parquet": encode_parquet(LABELLED_ROWS),
}
ZSTD = pa.Codec("zstd")


def zstd(data: bytes) -> bytes:
    return ZSTD.compress(data, asbytes=True)


def labelled(source: Any, part: str = "train") -> list[tuple[str | None, str | None]]:
    table = pa.Table.from_batches(source.read(part, refuse), LABELLED)
    rows = table["row"].to_pylist()
    assert rows == sorted(set(rows))
    return list(zip(table["text"].to_pylist(), table["label"].to_pylist(), strict=True))


def put(path: Path, data: bytes | str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    return path


# What is read


@pytest.mark.parametrize("name", [*ENCODED, "csv.gz", "csv.zst", "tsv.gz", "jsonl.gz", "jsonl.zst"])
def test_the_same_rows_from_every_format(name: str, read) -> None:
    data = ENCODED[name.partition(".")[0]]
    compress = {"gz": gzip.compress, "zst": zstd}.get(name.rpartition(".")[2], bytes)
    assert read(f"train.{name}", compress(data)) == LABELLED_ROWS


@pytest.mark.parametrize("kind", ENCODED)
def test_the_format_can_be_set(kind: str, read) -> None:
    assert read("train.dat", ENCODED[kind], format=kind) == LABELLED_ROWS


@pytest.mark.parametrize("kind", ["csv", "tsv", "jsonl"])
def test_a_byte_order_mark_is_dropped(kind: str, read) -> None:
    assert read(f"train.{kind}", b"\xef\xbb\xbf" + ENCODED[kind]) == LABELLED_ROWS


@pytest.mark.parametrize(
    ("name", "data", "rows"),
    [
        ("a.csv", 'text,label\n,x\n"",""\n', [(None, "x"), ("", "")]),
        ("a.csv", "label,other,text\n007,1,a\n", [("a", "007")]),
        ("a.csv", "text,label\r\n\r\na,1.0\r\n\r\n", [("a", "1.0")]),
        ("a.csv", 'text,label\n5" disk,x', [('5" disk', "x")]),
        ("a.csv", "text,label\r" + '"one\rtwo",x\r', [("one\rtwo", "x")]),
        ("a.jsonl", '{"text":"a","label":7}\n\n  \n{"text":null}\n', [("a", "7"), (None, None)]),
        ("a.jsonl", '{"label":"","text":"\\ud83d\\ude82"}', [("🚂", "")]),
        ("a.ndjson", '{"text":"a","label":-12345678901234567890}\r\n', [("a", "-12345678901234567890")]),
    ],
)
def test_values_stay_what_they_are(name: str, data: str, rows: list[Any], read) -> None:
    assert read(name, data) == rows


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        (pa.array([7, None], pa.uint8()), ["7", None]),
        (pa.array(["x", "x"]).dictionary_encode(), ["x", "x"]),
        (pa.array(["007", ""], pa.large_string()), ["007", ""]),
        (pa.nulls(2), [None, None]),
    ],
    ids=str,
)
def test_labels_in_parquet(labels: pa.Array, expected: list[Any], tmp_path: Path, data_config) -> None:
    pq.write_table(pa.table({"text": ["a", "b"], "label": labels}), tmp_path / "a.parquet")
    source = Files(data_config(train=str(tmp_path / "a.parquet")), "classification")
    assert [label for _, label in labelled(source)] == expected


def test_one_column_may_be_text_and_label(read) -> None:
    assert read("a.csv", "word,other\nyes,1\n", text="word", label="word") == [("yes", "yes")]


@pytest.mark.parametrize("name", ["chats.jsonl", "chats.parquet"])
def test_chats(name: str, tmp_path: Path, data_config) -> None:
    rows = [{"chat": [message | {"weight": 1} for message in chat]} for chat in CHAT_ROWS] + [{"chat": None}]
    if name.endswith("jsonl"):
        put(tmp_path / name, "\n".join(map(json.dumps, rows)))
    else:
        pq.write_table(pa.Table.from_pylist(rows), tmp_path / name)
    source = Files(data_config(train=str(tmp_path / name), messages="chat"), "causal_lm")
    table = pa.Table.from_batches(source.read("train", refuse), CHAT)
    assert messages(table["messages"].to_pylist()) == [*CHAT_ROWS, None]


def test_formats_mix_and_rows_count_on(tmp_path: Path, data_config) -> None:
    for kind, data in ENCODED.items():
        put(tmp_path / f"part.{kind}", data)
    source = open_source(data_config(train=str(tmp_path / "part.*")), "classification", tmp_path)
    assert labelled(source) == LABELLED_ROWS * 4


def test_a_text_column_without_labels(read) -> None:
    assert read("a.csv", "text,label\na,b\n", task="causal_lm") == ["a"]


# Which files


def test_globs_are_sorted_and_each_file_comes_once(tmp_path: Path, data_config) -> None:
    for name in ("b.csv", "a.csv", "deep/er/c.csv", ".hidden.csv", "deep/notes.md"):
        put(tmp_path / name, f"text,label\n{name},x\n")
    (tmp_path / "folder.csv").mkdir()
    patterns = [str(tmp_path / "b.csv"), str(tmp_path / "**/*.csv")]
    source = Files(data_config(train=patterns), "classification")
    assert [text for text, _ in labelled(source)] == ["b.csv", "a.csv", "deep/er/c.csv"]


@pytest.mark.parametrize("pattern", ["odd [1] näme\n.csv", "odd *.csv", "**/odd*"])
def test_brackets_in_what_exists_are_no_pattern(pattern: str, tmp_path: Path, data_config) -> None:
    put(tmp_path / "old [2025]" / "odd [1] näme\n.csv", "text,label\na,b\n")
    source = Files(data_config(train=str(tmp_path / "old [2025]" / pattern)), "classification")
    assert labelled(source) == [("a", "b")]


def test_relative_paths_start_here(tmp_path: Path, data_config, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path / "a.csv", "text,label\na,b\n")
    monkeypatch.chdir(tmp_path)
    source = Files(data_config(train="a.csv"), "classification")
    monkeypatch.chdir("/")
    assert labelled(source) == [("a", "b")]


def test_parts_and_identities(tmp_path: Path, data_config) -> None:
    train, test = put(tmp_path / "a.csv", ENCODED["csv"]), put(tmp_path / "b.jsonl", ENCODED["jsonl"])
    source = Files(data_config(train=str(train), test=str(test)), "classification")
    assert source.parts() == ("train", "test")
    assert source.identity("train") == {str(train): "csv " + hashlib.sha256(ENCODED["csv"]).hexdigest()}
    assert source.identity("test") == {str(test): "jsonl " + hashlib.sha256(ENCODED["jsonl"]).hexdigest()}


# Round trips


@pytest.mark.parametrize("kind", ["csv", "tsv", "jsonl", "jsonl.gz"])
@ROUND_TRIP
@given(rows=st.lists(st.tuples(HOSTILE, HOSTILE), min_size=1, max_size=8))
def test_what_is_written_is_read(kind: str, rows: list[tuple[str, str]], read) -> None:
    encode = {"csv": encode_csv, "tsv": lambda rows: encode_csv(rows, "\t")}.get(kind, encode_jsonl)
    data = encode(rows)
    assert read(f"train.{kind}", gzip.compress(data) if kind.endswith("gz") else data) == rows


# Size


def rows_of(kind: str, count: int) -> Iterator[bytes]:
    text = "some words to read, and some more " * 8
    if kind == "csv":
        yield b"text,label\n"
    for number in range(count):
        row = f'"{text}",{number}\n' if kind == "csv" else f'{{"text":"{text}","label":{number}}}\n'
        yield row.encode() if kind != "txt" else f"{text}\n\n".encode()


@pytest.mark.parametrize(
    ("kind", "count", "limit"),
    # A row has about 290 bytes. For CSV, pyarrow reads up to 64 MiB ahead.
    [
        pytest.param("csv", 500_000, 90, marks=pytest.mark.process),
        ("jsonl", 80_000, 12),
        ("txt", 120_000, 20),
        ("parquet", 100_000, 15),
    ],
)
def test_memory_does_not_grow_with_the_file(kind: str, count: int, limit: int, tmp_path: Path, data_config) -> None:
    path = tmp_path / f"big.{kind}"
    if kind == "parquet":
        texts = pa.array([row.decode() for row in rows_of("txt", count)])
        pq.write_table(pa.table({"text": texts}), path, 10_000, use_dictionary=False, compression="none")
        del texts
    else:
        with path.open("wb") as file:
            file.writelines(rows_of(kind, count))
    size = path.stat().st_size
    source = Files(data_config(train=str(path)), "causal_lm")
    arrow = rows = 0
    before = pa.total_allocated_bytes()
    tracemalloc.start()
    for batch in source.read("train", refuse):
        assert batch.schema == UNLABELLED
        assert batch.num_rows <= 4096
        rows += batch.num_rows
        arrow = max(arrow, pa.total_allocated_bytes() - before)
    python = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    path.unlink()  # pytest keeps its folders
    assert rows > 4096
    assert arrow + python < limit << 20 < size
