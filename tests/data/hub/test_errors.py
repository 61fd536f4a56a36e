"""Settings of data=hub that lead nowhere, and folders that are wrong inside: what is said about them."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from passingloop.config.build import build
from passingloop.data.hub.settings import HubData
from passingloop.data.hub.source import Hub
from passingloop.errors import ConfigError, DataError
from tests.data.conftest import refuse
from tests.data.hub.made import (
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

# datasets leaves a CSV file open that it has not read to its end.
pytestmark = pytest.mark.filterwarnings(
    "ignore:Exception ignored in. <_io.FileIO:pytest.PytestUnraisableExceptionWarning"
)


@pytest.fixture(autouse=True, scope="module")
def collected() -> Iterator[None]:
    """Such files are found here, and not in a test of another module."""
    yield
    gc.collect()


BAD_SETTINGS: list[tuple[dict[str, Any], str]] = [
    ({"path": "/nowhere/news"}, "You set data.path=/nowhere/news, but there is no such folder."),
    ({"path": "{}/nwes"}, "You set data.path={}/nwes, but there is no such folder. Did you mean news?"),
    ({"path": "imdb"}, "which is no folder here and no id of a dataset: those have an owner and a name, such as"),
    ({"path": "hf://datasets/acme/news"}, "data.path=hf://datasets/acme/news, which is no folder here and no id"),
    ({"path": "acme/news "}, "data.path=acme/news , which is no folder here and no id of a dataset"),
    ({"train": "train["}, "You set data.train=train[, but 'train[' is no split. Write the name of one, or a slice"),
    ({"train": "train[a:b]"}, "'train[a:b]' is no split"),
    ({"train": "train[:10]%"}, "'train[:10]%' is no split"),
    ({"test": "train+"}, "You set data.test=train+, but '' is no split"),
    ({"train": "train[5:2]"}, "but train[5:2] takes no rows: it ends where it begins, or before."),
    ({"train": "train[:0]"}, "but train[:0] takes no rows"),
    ({"train": "train[-5:-5]"}, "but train[-5:-5] takes no rows"),
    ({"train": "train[10%:5]"}, "but train[10%:5] mixes rows and percent. Write both ends in one of them."),
    ({"train": "train[:200%]"}, "but train[:200%] goes beyond 100%."),
    ({"path": "acme/news", "streaming": True, "train": "train[:10%]"},
     "You set data.streaming=true and data.train=train[:10%], but how many rows there are is not known"),
]  # fmt: skip


@pytest.mark.parametrize(("chosen", "message"), BAD_SETTINGS, ids=[message for _, message in BAD_SETTINGS])
def test_what_cannot_be_is_said_before_anyone_is_asked(chosen: dict[str, Any], message: str, tmp_path: Path) -> None:
    path = write(tmp_path / "news", NEWS)
    settings = defaults() | {"path": str(path)} | chosen
    settings["path"] = settings["path"].replace("{}", str(tmp_path))
    with pytest.raises((ConfigError, DataError)) as caught:
        Hub(build(HubData, settings, prefix="data."), "classification", tmp_path / "cache")
    assert message.replace("{}", str(tmp_path)) in str(caught.value)


WHOLE = NEWS["train.parquet"]
CLASSES = {"README.md": TWO_CLASSES}
CONFIGURATIONS = {
    "README.md": TWO_CONFIGURATIONS,
    "formal.csv": b"text,label\na,b\n",
    "plain.csv": b"text,label\na,b\n",
}

SEEN_AT_ONCE: list[tuple[Files, dict[str, Any], str]] = [
    # the folder
    ({}, {}, "data.path={}, but there are no data files that datasets reads, such as Parquet, CSV, JSONL or text"),
    ({"train.xyz": b"a"}, {}, "data.path={}, but there are no data files that datasets reads"),
    ({"README.md": card("configs:\n- config_name: a\n  data_files: b/*.csv\n"), "a.csv": b"text\na\n"}, {},
     "no data files that datasets reads, such as Parquet, CSV, JSONL or text, or none where its README.md says."),
    ({"README.md": card("configs: [\n"), "train.csv": b"text\na\n"}, {},
     "The YAML at the top of README.md in data.path={} is wrong: while parsing"),
    ({"news.py": b"import datasets"}, {}, "which is made by a script, news.py. datasets runs none any more."),
    ({"state.json": b"{}", "data-00000-of-00001.arrow": b"a"}, {}, "which save_to_disk wrote (state.json)"),
    ({"train.csv": b"text\na\n", "test.jsonl": b"{}\n"}, {}, "Couldn't infer the same data file format for all splits"),
    # configurations and splits
    (CONFIGURATIONS, {}, "which has several configurations: formal, plain. Choose one, as in data.config=formal."),
    (CONFIGURATIONS, {"config": "fromal"}, "has no such configuration. It has: formal, plain. Did you mean formal?"),
    (NEWS, {"config": "plain"}, "but data.path={} has no such configuration. It has: default."),
    (NEWS, {"train": "trian"}, "data.train=trian, but {} has no split trian. It has: train, test. Did you"),
    (NEWS, {"validation": "train+val"}, "You set data.validation=train+val, but {} has no split val. It has: train,"),
    # columns
    (NEWS, {"text": "txt"}, "data.text=txt, but {}, train has no column txt. It has: text, label. Did"),
    (NEWS, {"text": "label", "label": "text"}, "data.text=label, but in {}, train that column has the type int64. It"),
    (CLASSES | {"train.parquet": WHOLE}, {"text": "label"}, "has the type int64. It must be text."),
    ({"train.parquet": parquet(text=["a"], label=[True])}, {}, "has the type bool. It must be text or whole numbers."),
    ({"train.parquet": parquet(text=["a"], label=[1.5])}, {}, "has the type double. It must be text or whole numbers."),
    ({"train.parquet": parquet(text=["a"], label=[["x", "y"]])}, {}, "It must be text or whole numbers."),
    ({"train.csv": b"text,label\n1,a\n"}, {}, "data.text=text, but in {}, train that column has the type int64."),
    ({"train.jsonl": b'{"chat": "Hello"}\n'}, {"messages": "chat"}, "a list of messages with role and content."),
    # files
    ({"train.parquet": WHOLE[:-9]}, {}, "cannot read {}/train.parquet in data.path={}: Parquet magic bytes not"),
    ({"train.csv": b"text,label\na,b\nc,d,e,f\n"}, {}, "datasets cannot read {}/train.csv in data.path={}: Error tok"),
    ({"train.csv": b"text,label\nna\xefve,b\n"}, {}, "datasets cannot read {}/train.csv in data.path={}: Invalid UTF8"),
    ({"train.jsonl": b'{"text": "a", "label": 1}\n{"text":\n'}, {}, "cannot read {}/train.jsonl in data.path={}:"),
    ({"train.csv": b""}, {}, "datasets cannot read"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("files", "chosen", "message"), SEEN_AT_ONCE, ids=[message[:70] for *_, message in SEEN_AT_ONCE]
)
def test_a_look_finds_it(files: Files, chosen: dict[str, Any], message: str, tmp_path: Path) -> None:
    source = made(files, chosen, tmp_path)
    with pytest.raises((ConfigError, DataError)) as caught:
        source.check()
    assert message.replace("{}", str(tmp_path / "news")) in str(caught.value)


DAMAGED = WHOLE[:40] + b"\xff" * 60 + WHOLE[100:]
BODY = parquet(body=["a"], label=[1])
INVALID = pa.array([b"ok", b"\xff"], pa.binary()).view(pa.string())
NO_ROWS = parquet(text=pa.array([], pa.string()), label=pa.array([], pa.int64()))

SEEN_LATER: list[tuple[Files, dict[str, Any], str]] = [
    ({"train.parquet": DAMAGED}, {}, "datasets cannot read data.path={}: "),
    ({"train-1.parquet": WHOLE, "train-2.parquet": BODY}, {}, "files of data.path={} differ in their columns: there"),
    ({"train-1.parquet": WHOLE, "train-2.parquet": parquet(text=["a"], label=["b"])}, {},
     "datasets cannot read {}/train-2.parquet in data.path={}: Failed to parse string: 'b' as a scalar of type int64."),
    ({"train.parquet": NO_ROWS}, {}, "{}, train has no examples. Leave it out, or see why it is empty."),
    ({"train.parquet": parquet(text=INVALID, label=[0, 1])}, {}, "{}, train, row 1 (from 0): text is not UTF-8 text."),
    (CLASSES | {"train.parquet": parquet(text=["a"], label=[5])}, {},
     "{}, train, row 0 (from 0): label (data.label=label) is class 5, but the dataset names 2 classes only"),
    ({"train.parquet": parquet(chat=[[{"role": "user", "content": None}]])}, {"messages": "chat"},
     "{}, train, row 0 (from 0): message 1: content is null, but must be text."),
    ({"README.md": TURNED_CHATS, "train.parquet": parquet(chat=[{"role": ["user"], "content": []}])},
     {"messages": "chat"}, "{}, train, row 0 (from 0): has 1 roles, but 0 contents."),
    (NEWS, {"train": "train[10:]"}, "{}, train[10:] has no examples. Leave it out, or see why it is empty."),
]  # fmt: skip


@pytest.mark.parametrize(("files", "chosen", "message"), SEEN_LATER, ids=[message[:70] for *_, message in SEEN_LATER])
def test_reading_finds_it(files: Files, chosen: dict[str, Any], message: str, tmp_path: Path) -> None:
    source = made(files, chosen, tmp_path)
    with pytest.raises((ConfigError, DataError)) as caught:
        list(source.read("train", refuse))
    assert message.replace("{}", str(tmp_path / "news")) in str(caught.value)


def test_a_file_that_went_away(tmp_path: Path) -> None:
    source = made(NEWS, {}, tmp_path)
    source.check()
    (tmp_path / "news" / "train.parquet").unlink()
    with pytest.raises(DataError, match=r"Cannot read .*train\.parquet: No such file"):
        list(source.read("train", refuse))
    with pytest.raises(DataError, match=r"names .*train\.parquet, which is no file here"):
        source.identity("train")


def test_a_split_that_is_not_there_has_no_identity(tmp_path: Path) -> None:
    with pytest.raises(
        DataError, match=r"data\.train=trian, but .*news has no split trian\. It has: train, test\. Did"
    ):
        made(NEWS, {"train": "trian"}, tmp_path).identity("train")


def made(files: Files, chosen: dict[str, Any], tmp_path: Path) -> Hub:
    path = write(tmp_path / "news", files)
    task = "causal_lm" if "messages" in chosen else "classification"
    return Hub(build(HubData, defaults() | {"path": str(path)} | chosen, prefix="data."), task, tmp_path / "cache")
