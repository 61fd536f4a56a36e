"""Checks chats, and writes them as the JSON text that all sources give, with all fields of their messages."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa

from passingloop.data.rows.columns import Column, json_type_name
from passingloop.errors import DataError

BESIDE = ("tools", "documents", "chat_template_kwargs")
"""Columns that are passed to the chat template with the messages of the same row: lists of objects, and an object."""

SET_HERE = frozenset({"messages", "chat_template", "add_generation_prompt", "continue_final_message", "tokenize"})
"""What is passed to the chat template for each answer, so that `chat_template_kwargs` cannot have it."""

ANSWERERS = frozenset({"assistant", "gpt", "model", "bot", "ai"})
"""Roles that data sets give to who answers, in small letters. Only answers of ``assistant`` are learned, so another
name for it must not pass for a question."""

WITHOUT_SPEECH = frozenset({"role", "content", "name", "tool_call_id", "weight", "train"})
"""Fields with which alone a message says nothing."""


def chat_text(value: object, column: Column, beside: Mapping[str, object], *, typed: bool = False) -> str | None:
    """A chat as JSON text: an object with `messages` and what of `BESIDE` there is; None for None.

    Args:
        value: the list of messages.
        beside: the other columns of the row, which may have more than `BESIDE`.
        typed: whether all messages come from columns of one type, in which a field that a message lacks is null.

    Raises:
        DataError: it is not a chat. The caller adds file and line to the message.
    """
    if value is None:
        return None
    if not isinstance(value, list) or not value:
        kind = "an empty list" if value == [] else json_type_name(value)
        raise DataError(
            f"{column.name} ({column.setting}) is {kind}, but must be a list of messages, "
            'such as [{"role": "user", "content": "…"}].'
        )
    clean = _without_nulls if typed else _unchanged
    content: dict[str, Any] = {
        "messages": [_checked_message(message, number, clean) for number, message in enumerate(value, 1)]
    }
    for name in BESIDE:
        if checked := _checked_beside(clean(beside.get(name)), name):
            content[name] = checked
    return json.dumps(content, ensure_ascii=False, default=str)  # columns may have dates, which JSON has not


def written_texts(batch: pa.RecordBatch) -> list[str]:
    """The texts of the examples of a batch; of a chat all that is said in it, as one."""
    if "messages" not in batch.schema.names:
        texts: list[str] = batch.column("text").to_pylist()
        return texts
    return ["".join(_strings(json.loads(chat)["messages"])) for chat in batch.column("messages").to_pylist()]


def _strings(value: object) -> Iterator[str]:
    """The texts in a JSON value, without the names of its fields."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _strings(item)


def columns_beside(wanted: Sequence[Column], names: Sequence[str]) -> list[str]:
    """Those of the columns `names` that are passed to the chat template; none if the wanted columns have no chats."""
    chats = {column.name for column in wanted if column.field == "messages"}
    return [name for name in BESIDE if name in names and name not in chats] if chats else []


def _checked_message(message: object, number: int, clean: Callable[[Any], Any]) -> dict[str, Any]:
    """The message without fields that are null, and with all others passed through `clean`."""
    if not isinstance(message, dict):
        raise DataError(f"message {number} is {json_type_name(message)}, but must be an object with role and content.")
    given = {key: clean(value) for key, value in message.items() if value is not None}
    if "role" not in message or (given.keys() <= WITHOUT_SPEECH and "content" not in message):
        missing = "role" if "role" not in message else "content"
        raise DataError(f"message {number} has no {missing}. It has: {', '.join(map(str, message)) or 'nothing'}.")
    if not isinstance(message["role"], str):
        raise DataError(f"message {number}: role is {json_type_name(message['role'])}, but must be text.")
    role = message["role"]
    if role != "assistant" and role.strip().casefold() in ANSWERERS:
        raise DataError(f"message {number}: role is {role!r}, so it would not be learned. Write it as 'assistant'.")
    if given.keys() <= WITHOUT_SPEECH or "content" in given:
        _check_content(message["content"], number)
    if "tool_calls" in given:
        given["tool_calls"] = _objects(given["tool_calls"], f"message {number}: tool_calls")
    _check_learning(given, number)
    return given


def _check_content(content: object, number: int) -> None:
    if isinstance(content, str):
        return
    if not isinstance(content, list):
        raise DataError(f"message {number}: content is {json_type_name(content)}, but must be text.")
    for part in content:
        kind = part.get("type") if isinstance(part, dict) else None
        if not isinstance(part, dict) or kind != "text" or not isinstance(part.get("text"), str):
            shown = f"of the type {kind}" if kind not in (None, "text") else "without text"
            raise DataError(
                f"message {number}: content has a part {shown}, but only text can be learned from: "
                '{"type": "text", "text": "…"}.'
            )
        if others := [name for name, value in part.items() if name not in ("type", "text") and value is not None]:
            raise DataError(
                f"message {number}: content has a part with {others[0]}, which is not learned. Remove it from the data."
            )


def _check_learning(message: Mapping[str, Any], number: int) -> None:
    """Check the fields that say whether an answer is learned."""
    weight, train = message.get("weight", 1), message.get("train", True)
    if weight not in (0, 1):
        raise DataError(
            f"message {number}: weight is {weight!r}, but must be 1, or 0 for an answer that is not learned."
        )
    if not isinstance(train, bool):
        raise DataError(f"message {number}: train is {json_type_name(train)}, but must be true or false.")
    if message["role"] != "assistant" and message.get("train"):
        raise DataError(
            f"message {number}: train is true, but its role is {message['role']}, and only messages of the role "
            "assistant are learned."
        )


def _checked_beside(value: object, name: str) -> object:
    """The value of a column of `BESIDE`; it may be empty."""
    if not value:
        return None
    try:
        if name != "chat_template_kwargs":
            return _objects(value, name)
        value = _parsed(value, name)
        if not isinstance(value, dict):
            raise DataError(f"{name} is {json_type_name(value)}, but must be an object.")
        if taken := sorted(SET_HERE & value.keys()):
            raise DataError(f"{name} has {taken[0]}, which is set for each answer, so it cannot be set there.")
    except DataError as problem:
        raise DataError(
            f"{problem} A column of this name is passed to the chat template: rename it if it is for something else."
        ) from problem
    return value


def _objects(value: object, what: str) -> list[Any]:
    """A list of objects, which may be written as JSON text."""
    value = _parsed(value, what)
    if not isinstance(value, list):
        raise DataError(f"{what} is {json_type_name(value)}, but must be a list of objects.")
    objects = [_parsed(item, what) for item in value]
    for item in objects:
        if not isinstance(item, dict):
            raise DataError(f"{what} has {json_type_name(item)}, but must be a list of objects.")
    return objects


def _parsed(value: object, what: str) -> object:
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError) as problem:
        raise DataError(f"{what} is a text, but not valid JSON ({problem}).") from problem


def _unchanged(value: Any) -> Any:
    return value


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nulls(item) for key, item in value.items() if item is not None}
    return [_without_nulls(item) for item in value] if isinstance(value, list) else value
