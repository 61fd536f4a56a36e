"""Datasets in the form of the hub, made here, and the configuration that names them."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import yaml

from tests.conftest import ROOT

Files = dict[str, bytes]


def defaults() -> dict[str, Any]:
    """Every setting of `data=hub` as it comes."""
    text = (ROOT / "config" / "data" / "hub.yaml").read_text(encoding="utf-8").replace("???", "null")
    return yaml.safe_load(text) | {"train": "train"}  # type: ignore[no-any-return]


def parquet(**columns: Any) -> bytes:
    """A Parquet file with these columns."""
    file = io.BytesIO()
    pq.write_table(pa.table(columns), file)
    return file.getvalue()


def card(text: str) -> bytes:
    """A README.md with this YAML at its top."""
    return f"---\n{text}---\nA dataset.\n".encode()


def write(folder: Path, files: Files) -> Path:
    """The folder, with these files in it."""
    folder.mkdir(exist_ok=True)
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return folder


NEWS = {
    "train.parquet": parquet(text=[f"text {n}" for n in range(10)], label=[n % 2 for n in range(10)]),
    "test.parquet": parquet(text=["unseen"], label=[0]),
}

TWO_CLASSES = card(
    "dataset_info:\n  features:\n  - name: text\n    dtype: string\n  - name: label\n    dtype:\n      class_label:\n"
    "        names:\n          '0': neg\n          '1': pos\n"
)

LISTED = card(
    "dataset_info:\n  features:\n  - name: text\n    dtype: string\n  - name: label\n    sequence:\n"
    "      class_label:\n        names:\n          '0': neg\n          '1': pos\n"
)
"""A column of lists of classes."""

TWO_CONFIGURATIONS = card(
    "configs:\n- config_name: formal\n  data_files: formal.csv\n- config_name: plain\n  data_files: plain.csv\n"
)

TURNED_CHATS = card(
    "dataset_info:\n  features:\n  - name: chat\n    sequence:\n    - name: role\n      dtype: string\n"
    "    - name: content\n      dtype: string\n"
)
