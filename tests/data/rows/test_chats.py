"""Chats reach the chat template with all their fields, from every format that holds them, or are refused by name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from passingloop.data.files.source import Files
from passingloop.data.rows.chats import chat_text
from passingloop.data.rows.columns import Column
from passingloop.errors import DataError
from tests.data.conftest import Check, DataConfigs, refuse
from tests.data.made import CHAT

COLUMN = Column("messages", "chat")
CALL = {"type": "function", "function": {"name": "f", "arguments": '{"x": null}'}}
FULL: dict[str, Any] = {
    "chat": [
        {"role": "user", "content": [{"type": "text", "text": "hi"}], "name": "Ada"},
        {"role": "assistant", "tool_calls": [CALL], "reasoning_content": "hm", "weight": 0},
    ],
    "tools": [{"type": "function", "function": {"name": "f"}}],
    "documents": '[{"title": "t", "text": "d"}]',
    "id": 7,
}


@pytest.mark.parametrize("name", ["a.jsonl", "a.parquet"])
def test_all_fields_come_through(name: str, tmp_path: Path, data_config: DataConfigs) -> None:
    if name.endswith("jsonl"):
        (tmp_path / name).write_text(json.dumps(FULL) + "\n")
    else:
        pq.write_table(pa.Table.from_pylist([FULL]), tmp_path / name)  # fields that a message lacks become null
    source = Files(data_config(train=str(tmp_path / name), messages="chat"), "causal_lm")
    [[text]] = [batch.column("messages").to_pylist() for batch in source.read("train", refuse)]
    assert json.loads(text) == {
        "messages": FULL["chat"],
        "tools": FULL["tools"],
        "documents": [{"title": "t", "text": "d"}],
    }


REFUSED: list[tuple[dict[str, Any], dict[str, Any], str]] = [
    ({"content": [{"type": "image"}]}, {}, "message 1: content has a part of the type image, but only text"),
    ({"content": ["hi"]}, {}, "message 1: content has a part without text"),
    (
        {"content": [{"type": "text", "text": "a", "cache_control": {}, "image": None}]},
        {},
        "message 1: content has a part with cache_control, which is not learned",
    ),
    (
        {"content": "a"},
        {"chat_template_kwargs": {"enable_thinking": False, "add_generation_prompt": True}},
        "chat_template_kwargs has add_generation_prompt, which is set for each answer",
    ),
    ({"content": 5}, {}, "message 1: content is a number, but must be text"),
    ({"name": "Ada"}, {}, "message 1 has no content. It has: role, name"),
    ({"content": "a", "weight": 0.5}, {}, "message 1: weight is 0.5, but must be 1, or 0"),
    ({"content": "a", "train": "no"}, {}, "message 1: train is text, but must be true or false"),
    ({"role": "user", "content": "a", "train": True}, {}, "message 1: train is true, but its role is user"),
    ({"role": "Assistant", "content": "a"}, {}, "message 1: role is 'Assistant', so it would not be learned"),
    ({"role": "gpt", "content": "a"}, {}, "message 1: role is 'gpt', so it would not be learned. Write it as 'assist"),
    ({"role": "Model", "content": "a"}, {}, "message 1: role is 'Model', so it would not be learned"),
    ({"tool_calls": {"name": "f"}}, {}, "message 1: tool_calls is an object, but must be a list of objects"),
    ({"content": "a"}, {"tools": "f(x)"}, "tools is a text, but not valid JSON"),
    ({"content": "a"}, {"documents": ["d"]}, "rename it if it is for something else"),
    ({"content": "a"}, {"chat_template_kwargs": "[]"}, "chat_template_kwargs is a list, but must be an object"),
]


@pytest.mark.parametrize(("message", "beside", "reason"), REFUSED)
def test_what_cannot_be_meant_is_refused(message: dict[str, Any], beside: dict[str, Any], reason: str) -> None:
    with pytest.raises(DataError) as error:
        chat_text([{"role": "assistant"} | message], COLUMN, beside)
    assert reason in str(error.value)


def test_chats_that_the_template_does_not_write_are_counted_and_named(check: Check, tmp_path: Path) -> None:
    chats = [CHAT, [CHAT[0], CHAT[1] | {"thinking": "hm"}], CHAT]
    lines = "".join(json.dumps({"chat": chat}) + "\n" for chat in chats)
    prepared = check.prepared("a.jsonl", lines, messages="chat", on_bad="drop")  # type: ignore[attr-defined]
    counts = prepared.meta["parts"]["train"]
    assert {name: counts[name] for name in ("read", "refused", "used", "examples", "duplicate")} == {
        "read": 3, "refused": 1, "used": 2, "examples": 2, "duplicate": 1,
    }  # fmt: skip
    assert prepared.notes[0] == "train: 1 chat that cannot be used dropped."
    assert len(prepared.meta["answer_ends"]) == 1
    with pytest.raises(DataError) as error:
        check("a.jsonl", lines, messages="chat", on_bad="fail")
    assert "1 of 3 examples cannot be used. train: 1 chat cannot be used." in str(error.value)
    assert f"{tmp_path / 'a.jsonl'}, line 2: The chat template of " in str(error.value)
    assert "does not write thinking (message 2)" in str(error.value)
