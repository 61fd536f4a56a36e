"""`preparing`: prepares files of a folder."""

from __future__ import annotations

import csv
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from passingloop.config.data import Part
from passingloop.config.settings import Task
from passingloop.data.files.settings import FilesData
from passingloop.data.files.source import Files
from passingloop.data.prepare.fill import Recipe
from passingloop.data.prepare.mix import single_source_data
from passingloop.data.prepare.pipeline import Prepared, prepare_source

Rows = list[tuple[str, str]]


def rows(count: int, classes: int = 2) -> Rows:
    return [(f"text number {i}", f"label {i % classes}") for i in range(count)]


def write_csv(path: Path, examples: Rows) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("text", "label"), *examples])
    return path


@dataclass
class Preparing:
    """Prepares files of a folder; keeps the notices."""

    folder: Path
    make_config: Callable[..., FilesData]
    tokenizer: Any
    notices: list[str] = field(default_factory=list)

    def __call__(
        self, train: Rows | str, *, task: Task = "classification", max_length: int = 16, **chosen: Any
    ) -> Prepared:
        prepared = self.prepare(train, task=task, max_length=max_length, **chosen)
        single_source_data(prepared)  # as every run does: it looks at the classes
        return prepared

    def prepare(
        self, train: Rows | str, *, task: Task = "classification", max_length: int = 16, **chosen: Any
    ) -> Prepared:
        for part, content in {"train": train, **chosen}.items():
            if part in ("train", "validation", "test") and isinstance(content, list):
                chosen[part] = str(write_csv(self.folder / f"{part}.csv", content))
            elif part == "train":
                chosen[part] = content
        config = self.make_config(**chosen)
        source, cache = Files(config, task), self.folder / "cache"
        recipe = Recipe(task=task, config=config, tokenizer=self.tokenizer, max_length=max_length)
        return prepare_source(recipe, source, cache, self.notices.append)[0]

    def texts(self, prepared: Prepared, part: Part) -> list[str]:
        tokens = prepared.parts[part]
        return [self.tokenizer.decode(tokens.ids(i), skip_special_tokens=True) for i in range(len(tokens))]

    def kept(self) -> set[str]:
        """What stands in the cache, leases left out."""
        return {path.name for path in (self.folder / "cache" / "tokens").iterdir() if "lease" not in path.suffix}


@pytest.fixture
def preparing(tmp_path: Path, data_config: Callable[..., FilesData], bert_tokenizer: Any) -> Preparing:
    return Preparing(tmp_path, data_config, bert_tokenizer)
