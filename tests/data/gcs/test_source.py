"""Objects of a real emulator become examples, through the real gcsfs: each fetched once, and never stale."""

from __future__ import annotations

import gzip
import io
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from passingloop.config.data import Part
from passingloop.data.gcs.source import Gcs
from passingloop.data.prepare.pipeline import Prepared
from passingloop.errors import DataError
from tests.data.conftest import refuse, shown_labels
from tests.data.gcs.conftest import Sources
from tests.data.gcs.servers import BadLine, Emulator
from tests.data.made import messages

pytestmark = pytest.mark.process

CSV = "text,label\nI liked it.,good\nI did not.,bad\n"
PAIRS = [("I liked it.", "good"), ("I did not.", "bad")]
JSONL = '{"text":"I liked it.","label":"good"}\n{"text":"I did not.","label":"bad"}\n'


def rows(source: Gcs, part: Part = "train") -> list[Any]:
    """What is read, without the numbers of the rows, which must count."""
    table = pa.Table.from_batches(source.read(part, refuse))
    assert table.column("row").to_pylist() == list(range(table.num_rows))
    columns = [column.to_pylist() for column in table.columns[1:]]
    return list(zip(*columns, strict=True)) if len(columns) > 1 else columns[0]


def parquet(**columns: Sequence[Any]) -> bytes:
    file = io.BytesIO()
    pq.write_table(pa.table(columns), file)
    return file.getvalue()


FORMATS: dict[str, bytes | str] = {
    "a.csv": CSV,
    "a.tsv": CSV.replace(",", "\t"),
    "a.jsonl": JSONL,
    "a.parquet": parquet(text=["I liked it.", "I did not."], label=["good", "bad"]),
    "a.csv.gz": gzip.compress(CSV.encode()),
    "a.jsonl.zst": pa.compress(JSONL.encode(), "zstd", asbytes=True),
    "with space, #1?ü&=%.csv": CSV,
    "x" * 300 + ".csv": CSV,
}


@pytest.mark.parametrize("name", FORMATS, ids=lambda name: name[:30])
def test_every_format_is_looked_at_and_read(name: str, emulator: Emulator, gcs: Sources, bucket: str) -> None:
    emulator.put(f"gs://{bucket}/d/{name}", FORMATS[name])
    source = gcs(train=f"gs://{bucket}/d/{name}")
    source.check()
    assert source.size() == len(emulator.get(f"gs://{bucket}/d/{name}"))
    assert rows(source) == PAIRS


def test_plain_text_is_read_in_passages(emulator: Emulator, gcs: Sources, bucket: str) -> None:
    emulator.put(f"gs://{bucket}/a.txt", "One.\n\nTwo.\n")
    source = gcs("causal_lm", train=f"gs://{bucket}/a.txt")
    source.check()
    assert "".join(rows(source)) == "One.\n\nTwo.\n"


def test_chats_are_read(emulator: Emulator, gcs: Sources, bucket: str) -> None:
    emulator.put(f"gs://{bucket}/a.jsonl", '{"chat":[{"role":"user","content":"a"}]}\n')
    source = gcs("causal_lm", train=f"gs://{bucket}/a.jsonl", messages="chat")
    source.check()
    assert messages(rows(source)) == [[{"role": "user", "content": "a"}]]


LISTS = [["b", "a"], [], ["a"]]


def test_numbers_and_lists_of_labels_are_prepared(
    prepare_for: Callable[..., Prepared], emulator: Emulator, bucket: str
) -> None:
    made = parquet(text=["t", "u", "v"], x=[1.5, 0.1, -2.0], y=[1, 2**40, 0], label=LISTS)
    emulator.put(f"gs://{bucket}/a.parquet", made)
    emulator.put(f"gs://{bucket}/a.csv", 'text,label\nt,b; a\nu,""\nv,a\n')
    words = ("data=gcs", f"data.train=gs://{bucket}/a.parquet")
    numbers = prepare_for("task=regression", "data.label=[x,y]", *words).parts["train"].labels
    assert numbers is not None and numbers.tolist() == [[1.5, 1], [0.1, 2**40], [-2, 0]]
    lists = prepare_for("task=multilabel", *words)
    texts = prepare_for("task=multilabel", "data=gcs", f"data.train=gs://{bucket}/a.csv", "data.label_separator=;")
    for prepared in (lists, texts):
        assert shown_labels(prepared, "multilabel") == ["b, a", "no label", "a"]


def test_an_object_that_is_kept_compressed_is_read_as_what_its_name_says(
    emulator: Emulator, gcs: Sources, bucket: str
) -> None:
    emulator.put(f"gs://{bucket}/a.csv", gzip.compress(CSV.encode()), contentEncoding="gzip")
    source = gcs(train=f"gs://{bucket}/a.csv")
    source.check()
    assert rows(source) == PAIRS


def test_an_object_without_an_md5_is_checked_by_its_crc32c(emulator: Emulator, gcs: Sources, bucket: str) -> None:
    emulator.put(f"gs://{bucket}/a.csv", CSV)
    # As of objects that were put together from others.
    emulator.server._storage.get_file_obj(bucket, "a.csv")["md5Hash"] = None
    source = gcs(train=f"gs://{bucket}/a.csv")
    [digest] = source.identity("train").values()
    assert digest.startswith("csv 43 crc32c:")
    assert rows(source) == PAIRS


def test_parquet_whose_schema_is_longer_than_what_is_looked_at(
    emulator: Emulator, gcs: Sources, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("passingloop.data.gcs.source.HEADER_BYTES", 16)
    emulator.put(f"gs://{bucket}/a.parquet", FORMATS["a.parquet"])
    gcs(train=f"gs://{bucket}/a.parquet").check()
    with pytest.raises(DataError, match=r"gs://.*/a\.parquet has no column body\. It has: text, label\."):
        gcs(train=f"gs://{bucket}/a.parquet", text="body").check()


@pytest.mark.parametrize("name", ["a.csv.gz", "a.jsonl.zst"])
def test_the_beginning_of_a_compressed_object_may_tell_nothing(
    name: str, emulator: Emulator, gcs: Sources, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("passingloop.data.gcs.source.HEADER_BYTES", 16)
    emulator.put(f"gs://{bucket}/{name}", FORMATS[name])
    source = gcs(train=f"gs://{bucket}/{name}")
    source.check()
    assert rows(source) == PAIRS


def test_a_proxy_is_asked(bad_line: BadLine, gcs: Sources, bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    bad_line.emulator.put(f"gs://{bucket}/a.csv", CSV)
    monkeypatch.setenv("http_proxy", bad_line.url)
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", "http://storage.invalid")
    assert rows(gcs(train=f"gs://{bucket}/a.csv")) == PAIRS


GLOBS = {
    "d/train-*.csv": ["d/train-1.csv", "d/train-2.csv"],
    "d/train-?.csv": ["d/train-1.csv", "d/train-2.csv"],
    "d/train-[2-9].csv": ["d/train-2.csv"],
    "*.csv": ["odd[1].csv", "top.csv"],
    "d/*.csv": ["d/train-1.csv", "d/train-2.csv"],
    "d/**/*.csv": ["d/train-1.csv", "d/train-2.csv", "d/x/train-3.csv", "d/x/y/train-4.csv"],
    "d/*/train-*.csv": ["d/x/train-3.csv"],
    "**/train-4.csv": ["d/x/y/train-4.csv"],
    "odd[1].csv": ["odd[1].csv"],
}


@pytest.mark.parametrize("pattern", GLOBS)
def test_a_glob_names_what_matches_in_order(pattern: str, emulator: Emulator, gcs: Sources, bucket: str) -> None:
    names = ["d/train-2.csv", "d/train-1.csv", "d/x/train-3.csv", "d/x/y/train-4.csv", "top.csv", "d/other.txt", "d/"]
    for number, name in enumerate(sorted([*names, "odd[1].csv"])):
        emulator.put(f"gs://{bucket}/{name}", f"text,label\n{number},x\n" if name != "d/" else "")
    found = gcs(train=f"gs://{bucket}/{pattern}").identity("train")
    assert list(found) == [f"gs://{bucket}/{name}" for name in GLOBS[pattern]]


def test_several_names_keep_their_order_and_parts_are_apart(emulator: Emulator, gcs: Sources, bucket: str) -> None:
    for name in "abc":
        emulator.put(f"gs://{bucket}/{name}.csv", f"text,label\n{name},x\n{name * 2},x\n")
    source = gcs(train=[f"gs://{bucket}/b.csv", f"gs://{bucket}/[ab].csv"], test=f"gs://{bucket}/c.csv")
    assert source.parts() == ("train", "test")
    assert [text for text, _ in rows(source)] == ["b", "bb", "a", "aa"]
    assert [text for text, _ in rows(source, "test")] == ["c", "cc"]


def test_what_has_not_changed_is_not_fetched_again(emulator: Emulator, gcs: Sources, bucket: str) -> None:
    emulator.put(f"gs://{bucket}/a.csv", CSV)
    first = gcs(train=f"gs://{bucket}/a.csv")
    found = first.identity("train")
    assert emulator.downloads() == []
    assert rows(first) == rows(first) == PAIRS
    assert emulator.downloads() == ["a.csv"]
    again = gcs(train=f"gs://{bucket}/a.csv")
    assert again.identity("train") == found
    assert rows(again) == PAIRS
    assert emulator.downloads() == []


def test_what_has_changed_is_read_anew(emulator: Emulator, gcs: Sources, bucket: str) -> None:
    url = f"gs://{bucket}/a.csv"
    emulator.put(url, CSV)
    source = gcs(train=url)
    found = source.identity("train")
    assert rows(source) == PAIRS
    emulator.put(url, CSV.replace("liked", "LIKED"))
    assert source.identity("train") != found
    assert rows(source)[0] == ("I LIKED it.", "good")
    emulator.put(url, CSV)
    assert source.identity("train") == found


def test_what_is_changed_while_it_is_about_to_be_read_is_refused(
    emulator: Emulator, gcs: Sources, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("passingloop.data.gcs.client.RETRY_PAUSES", ())
    url = f"gs://{bucket}/a.csv"
    emulator.put(url, CSV)
    source = gcs(train=url)
    source.identity("train")
    emulator.put(url, CSV.replace("liked", "LIKED"))
    with pytest.raises(DataError, match=rf"{url} was changed or removed while it was about to be read\. Give"):
        rows(source)
    emulator.server._storage.delete_file(bucket, "a.csv")
    with pytest.raises(DataError, match="was changed or removed"):
        rows(source)


def test_a_bad_row_is_named_by_its_object(emulator: Emulator, gcs: Sources, bucket: str, tmp_path: Path) -> None:
    emulator.put(f"gs://{bucket}/a.csv", CSV + "a,b,c\n")
    with pytest.raises(DataError) as caught:
        rows(gcs(train=f"gs://{bucket}/a.csv"))
    assert str(caught.value).startswith(f"gs://{bucket}/a.csv, line 4: 3 fields, but the header has 2")
    assert str(tmp_path) not in str(caught.value)


def test_bad_rows_are_given_back_by_their_objects_name(emulator: Emulator, gcs: Sources, bucket: str) -> None:
    for name in "ab":
        emulator.put(f"gs://{bucket}/{name}.jsonl", f"{JSONL}[]\n{JSONL}")
    rejected: list[DataError] = []
    batches = list(gcs(train=f"gs://{bucket}/*.jsonl").read("train", rejected.append))
    assert pa.Table.from_batches(batches).column("row").to_pylist() == [0, 1, 3, 4, 5, 6, 8, 9]
    assert [str(one).split(": ")[0] for one in rejected] == [f"gs://{bucket}/{name}.jsonl, line 3" for name in "ab"]


def test_many_at_once_fetch_once(emulator: Emulator, gcs: Sources, bucket: str) -> None:
    for name in "abc":
        emulator.put(f"gs://{bucket}/{name}.csv", CSV)
    sources = [gcs(train=f"gs://{bucket}/*.csv") for _ in range(4)]
    with ThreadPoolExecutor(len(sources)) as pool:
        assert list(pool.map(rows, sources)) == [PAIRS * 3] * len(sources)
    assert sorted(emulator.downloads()) == ["a.csv", "b.csv", "c.csv"]
