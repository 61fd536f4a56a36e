"""Several sources as one: what they have is numbered through, and every example knows where it comes from."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from passingloop.config.settings import Task
from passingloop.data.files.settings import FilesData
from passingloop.data.files.source import Files
from passingloop.data.prepare.fill import Recipe
from passingloop.data.prepare.mix import Data, mixed_data, single_source_data
from passingloop.data.prepare.pipeline import Prepared, prepare_source
from passingloop.errors import DataError

Prepare = Callable[..., Prepared]

FAQ = {"train": [("how late", "hours"), ("how dear", "price")], "test": [("how far", "price")]}
SHOP = {"train": [("blue one", "2"), ("red one", "10"), ("is it dear", "price")], "validation": [("green one", "10")]}


@pytest.fixture
def prepared(tmp_path: Path, data_config: Callable[..., FilesData], chat_tokenizer: Any) -> Prepare:
    def make(parts: dict[str, list[tuple[str, str]]], task: Task = "classification") -> Prepared:
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        folder.mkdir()
        for part, rows in parts.items():
            (folder / f"{part}.csv").write_text("\n".join(["text,label", *map(",".join, rows)]))
        paths = {part: str(folder / f"{part}.csv") for part in parts}
        config = data_config(**paths, validation_fraction=0, test_fraction=0)
        recipe = Recipe(task=task, config=config, tokenizer=chat_tokenizer, max_length=16)
        return prepare_source(recipe, Files(config, task), folder / "cache", lambda _: None)[0]

    return make


def content(data: Data, part: str, tokenizer: Any) -> list[tuple[str, str]]:
    """(text, label) of every example."""
    tokens = data.parts[part]  # type: ignore[index]
    names = [data.label_names[label] for label in tokens.labels]  # type: ignore[union-attr]
    return [(tokenizer.decode(tokens.ids(i), skip_special_tokens=True), names[i]) for i in range(len(tokens))]


def test_examples_stand_source_by_source_with_the_classes_of_all(prepared: Prepare, chat_tokenizer: Any) -> None:
    data = mixed_data({"faq": prepared(FAQ), "shop": prepared(SHOP)}, {})
    assert data.label_names == ["10", "2", "hours", "price"]
    assert content(data, "train", chat_tokenizer) == [*FAQ["train"], *SHOP["train"]]
    assert content(data, "test", chat_tokenizer) == FAQ["test"]
    assert content(data, "validation", chat_tokenizer) == SHOP["validation"]
    assert data.parts["train"].sources == {"faq": range(2), "shop": range(2, 5)}
    places = [data.parts["train"].place(example) for example in range(5)]
    assert [(Path(name).name, unit, line) for name, unit, line in places] == [
        ("train.csv", "line", line) for line in (2, 3, 2, 3, 4)
    ]
    assert len({name for name, _, _ in places}) == 2
    assert len(data.parts["train"].targets) == len(data.parts["train"].lengths) == len(data.parts["train"]) == 5


def test_whole_numbers_keep_their_order_where_all_are_such(prepared: Prepare) -> None:
    one, other = ({"train": [("a", a), ("b", b)]} for a, b in (("10", "2"), ("1", "-3")))
    assert mixed_data({"one": prepared(one), "other": prepared(other)}, {}).label_names == ["-3", "1", "2", "10"]


def test_shares_are_the_sources_with_their_weights(prepared: Prepare) -> None:
    sources = {"faq": prepared(FAQ), "shop": prepared(SHOP)}
    assert [(s.examples, s.weight, s.examples_per_epoch) for s in mixed_data(sources, {"faq": 2.5}).shares] == [
        (2, 2.5, 5),
        (3, 1.0, 3),
    ]
    assert not mixed_data(sources, {}).shares


def test_chats_and_texts_go_together(prepared: Prepare, tmp_path: Path, data_config: Any, chat_tokenizer: Any) -> None:
    path = tmp_path / "chat.jsonl"
    chat = '{"messages": [{"role": "user", "content": "where"}, {"role": "assistant", "content": "there"}]}\n'
    path.write_text(chat * 2)
    config = data_config(train=str(path), messages="messages", validation_fraction=0, test_fraction=0)
    source = Files(config, "causal_lm")
    recipe = Recipe(task="causal_lm", config=config, tokenizer=chat_tokenizer, max_length=64)
    chats, _ = prepare_source(recipe, source, tmp_path / "cache", lambda _: None)
    tokens = mixed_data({"faq": prepared(FAQ, "causal_lm"), "chats": chats}, {}).parts["train"]
    assert tokens.labels is None
    assert [tokens.answers(example) is None for example in range(4)] == [True, True, False, False]
    assert np.array_equal(tokens.ids(2), tokens.ids(3))


def test_a_source_may_have_one_class_where_another_has_others(prepared: Prepare) -> None:
    ham = prepared({"train": [("see you", "ham"), ("at noon", "ham")], "test": [("buy now", "spam")]})
    spam = prepared({"train": [("buy this", "spam")]})
    assert mixed_data({"ham": ham, "spam": spam}, {}).label_names == ["ham", "spam"]
    with pytest.raises(DataError, match="The test data have 'spam' as label, which the training data have not"):
        mixed_data({"ham": ham}, {})
    with pytest.raises(DataError, match="a single class, 'spam'"):
        single_source_data(spam)
