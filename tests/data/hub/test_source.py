"""Folders in the form of the hub: splits and slices, columns of every kind, and what stands for their content."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from passingloop.config.build import build
from passingloop.config.settings import Task
from passingloop.data.hub.settings import HubData
from passingloop.data.hub.source import Hub
from passingloop.data.hub.splits import parse_slices
from passingloop.data.prepare.pipeline import Prepared
from passingloop.errors import DataError
from tests.data.conftest import refuse, shown_labels
from tests.data.hub.made import (
    LISTED,
    NEWS,
    TURNED_CHATS,
    TWO_CLASSES,
    TWO_CONFIGURATIONS,
    Files,
    card,
    defaults,
    parquet,
    write,
)
from tests.data.made import messages

CHAT = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]


@pytest.fixture
def folder(tmp_path: Path) -> Callable[..., Hub]:
    """``folder({"train.csv": …}, train="train[:10%]")``: the source of a folder with these files."""

    def folder(files: Files, task: Task = "classification", **chosen: Any) -> Hub:
        path = write(tmp_path / "news", files)
        settings = defaults() | {"path": str(path)} | chosen
        return Hub(build(HubData, settings, prefix="data."), task, tmp_path / "cache")

    return folder


def texts(source: Hub, column: str = "text") -> list[Any]:
    return pa.Table.from_batches(source.read("train", refuse)).column(column).to_pylist()


@pytest.mark.parametrize(
    ("spec", "numbers"),
    [
        ("train", range(10)),
        ("train[3:5]", [3, 4]),
        ("train[:20%]", [0, 1]),
        ("train[-1:]", [9]),
        ("train[90%:]", [9]),
        ("train[8:100]", [8, 9]),
        (["train[:1]", "train[5:6]"], [0, 5]),
        ("train[1:2]+train[:1]", [1, 0]),
    ],
)
def test_splits_and_slices_are_those_of_datasets(spec, numbers, folder) -> None:
    source = folder(NEWS, train=spec)
    source.check()
    assert texts(source) == [f"text {n}" for n in numbers]
    rows = texts(source, "row")
    assert [source.pieces("train").place(row).number for row in rows] == list(numbers)


def test_a_slice_is_rounded_as_datasets_does() -> None:
    from datasets import Dataset, ReadInstruction  # here, as it takes a second

    rows = Dataset.from_dict({"n": list(range(37))})
    for spec in ("train[:33%]", "train[33%:67%]", "train[-10%:]", "train[4:-4]", "train[50%:]"):
        [found] = parse_slices("data.train", spec)
        [theirs] = ReadInstruction.from_spec(spec).to_absolute({"train": len(rows)})
        assert found.rows(37) == (theirs.from_, theirs.to)


@pytest.mark.parametrize("streaming", [False, True])
def test_nothing_of_a_folder_is_copied(streaming: bool, folder, tmp_path: Path) -> None:
    assert len(texts(folder(NEWS, streaming=streaming))) == 10
    assert [path for path in (tmp_path / "cache").rglob("*") if path.is_file() and path.stat().st_size] == []


def test_classes_come_by_their_names(folder) -> None:
    source = folder({"README.md": TWO_CLASSES, "train.parquet": parquet(text=["a", "b", "c"], label=[1, 0, -1])})
    assert texts(source, "label") == ["pos", "neg", None]


@pytest.mark.parametrize(
    ("column", "labels"),
    [
        (pa.array([3, None]), ["3", None]),
        (pa.array(["x", None], pa.large_string()), ["x", None]),
        (pa.array(["x", "y"]).dictionary_encode(), ["x", "y"]),
        (pa.nulls(2), [None, None]),
    ],
)
def test_labels_are_text(column: pa.Array, labels: list[str | None], folder) -> None:
    assert texts(folder({"train.parquet": parquet(text=["a", "b"], label=column)}), "label") == labels


def test_numbers_and_lists_of_labels_are_prepared(prepare_for: Callable[..., Prepared], tmp_path: Path) -> None:
    texts = ["t", "u", "v"]
    made = parquet(text=texts, x=[1.5, 0.1, -2.0], y=[1, 2**40, 0], label=[["b", "a"], [], ["a"]])
    plain = write(tmp_path / "plain", {"train.parquet": made})
    numbers = prepare_for("task=regression", "data.label=[x,y]", "data=hub", f"data.path={plain}", "data.train=train")
    assert numbers.parts["train"].labels is not None
    assert numbers.parts["train"].labels.tolist() == [[1.5, 1], [0.1, 2**40], [-2, 0]]
    classes = {"README.md": LISTED, "train.parquet": parquet(text=texts, label=[[1, 0], [], [0]])}
    named = write(tmp_path / "named", classes)
    for path, labels in ((plain, ["b, a", "no label", "a"]), (named, ["pos, neg", "no label", "neg"])):
        prepared = prepare_for("task=multilabel", "data=hub", f"data.path={path}", "data.train=train")
        assert shown_labels(prepared, "multilabel") == labels


def test_a_class_beyond_those_named_is_named(prepare_for: Callable[..., Prepared], tmp_path: Path) -> None:
    files = {"README.md": LISTED, "train.parquet": parquet(text=["t", "u"], label=[[1], [2]])}
    words = ("task=multilabel", "data=hub", f"data.path={write(tmp_path / 'few', files)}", "data.train=train")
    with pytest.raises(
        DataError, match=r"row 1 \(from 0\): label \(data.label=label\) is \[2\], but .* names 2 classes"
    ):
        prepare_for(*words)


@pytest.mark.parametrize(
    "files",
    [
        {"train.jsonl": b'{"chat": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}\n'},
        {"train.parquet": parquet(chat=[CHAT])},
        {"train.parquet": parquet(chat=pa.array([CHAT], pa.large_list(pa.infer_type(CHAT))))},
        {"train.parquet": parquet(chat=[[message | {"name": "x"} for message in CHAT]])},
        {
            "README.md": TURNED_CHATS,
            "train.parquet": parquet(chat=[{"role": ["user", "assistant"], "content": ["a", "b"]}]),
        },
    ],
    ids=["jsonl", "list", "large list", "more keys", "list per key"],
)
def test_chats(files: Files, folder) -> None:
    source = folder(files, "causal_lm", messages="chat")
    source.check()
    [chat] = messages(texts(source, "messages"))
    assert chat and [{key: message[key] for key in ("role", "content")} for message in chat] == CHAT


def test_a_bad_chat_is_left_out_and_named(folder) -> None:
    chats = [CHAT, [{"role": "user", "content": None}], CHAT]
    source = folder({"train.parquet": parquet(chat=chats)}, "causal_lm", messages="chat")
    problems: list[Exception] = []
    batches = list(source.read("train", problems.append))
    assert sum(batch.num_rows for batch in batches) == 2
    assert [str(problem).partition("news, ")[2] for problem in problems] == [
        "train, row 1 (from 0): message 1: content is null, but must be text."
    ]


def test_a_configuration_is_chosen(folder) -> None:
    files = {"README.md": TWO_CONFIGURATIONS, "formal.csv": b"text,label\nSir,a\n", "plain.csv": b"text,label\nHey,a\n"}
    assert texts(folder(files, config="plain")) == ["Hey"]


def test_the_identity_is_that_of_the_files_read(folder, tmp_path: Path) -> None:
    source = folder(NEWS)
    before = source.identity("train")
    assert source.size() == len(NEWS["train.parquet"])
    assert {Path(name).name for name in before} == {"train.parquet", "news, split"}
    write(tmp_path / "news", {"test.parquet": parquet(text=["x"], label=[1])})
    assert folder({}).identity("train") == before, "the test split is not read"
    assert folder({}, train="train[:5]").identity("train") != before
    assert folder({"README.md": TWO_CLASSES}).identity("train") != before
    assert folder({"train.parquet": parquet(text=["x"], label=[1])}).identity("train") != before


def test_a_change_is_read_though_size_and_time_are_the_same(folder, tmp_path: Path) -> None:
    readme = card("configs:\n- config_name: plain\n  data_files: train.csv\n")
    assert texts(folder({"README.md": readme, "train.csv": b"text,label\nold,a\n"})) == ["old"]
    file = tmp_path / "news" / "train.csv"
    before = file.stat()
    file.write_bytes(b"text,label\nnew,a\n")
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert texts(folder({})) == ["new"]


def test_batches_are_small_however_many_rows_there_are(folder) -> None:
    source = folder({"train.parquet": parquet(text=["x" * 100] * 20_000, label=[0] * 20_000)})
    sizes = [batch.num_rows for batch in source.read("train", refuse)]
    assert sum(sizes) == 20_000
    assert max(sizes) <= 4096
