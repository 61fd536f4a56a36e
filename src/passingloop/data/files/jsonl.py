"""Reads JSONL files: one JSON object per line. Blank lines are skipped."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pyarrow as pa

from passingloop.data.files.errors import check_columns, line_encoding_error
from passingloop.data.files.formats import open_bytes
from passingloop.data.rows.batches import gather_batches
from passingloop.data.rows.chats import chat_text
from passingloop.data.rows.columns import Column, json_type_name
from passingloop.data.source import Reject
from passingloop.errors import DataError


def read_jsonl(
    path: Path, wanted: Sequence[Column], fields: list[pa.Field], reject: Reject
) -> Iterator[pa.RecordBatch]:
    """Batches of the wanted columns, and for each row its line, counted from 0.

    The first object must have all columns; missing values in later ones are null. A line that cannot be parsed, or has
    a value of a wrong type, is passed to `reject`.

    Raises:
        DataError: a column is missing, or the file is UTF-16.
    """
    return gather_batches(_examples(path, wanted, reject), fields)


def _examples(path: Path, wanted: Sequence[Column], reject: Reject) -> Iterator[tuple[int, tuple[object, ...]]]:
    first = True
    for number, line in _lines(path, reject):
        try:
            row = _parse_line(line)
            values = tuple([_column_value(row, column) for column in wanted])
        except DataError as problem:
            reject(DataError(f"{path}, line {number}: {problem}"))
            continue
        if first:
            check_columns(path, wanted, list(row))
            first = False
        yield len(line), (number - 1, *values)


def _lines(path: Path, reject: Reject) -> Iterator[tuple[int, str]]:
    """The number and text of every line that is not blank."""
    with open_bytes(path) as stream:
        for number, line in enumerate(stream, 1):
            try:
                text = line.decode("utf-8-sig" if number == 1 else "utf-8")
            except UnicodeDecodeError as problem:
                reject(line_encoding_error(path, number, line, problem))
                continue
            if not text.isspace() and text:
                yield number, text


def _parse_line(line: str) -> dict[str, object]:
    try:
        row = json.loads(line)
    except json.JSONDecodeError as problem:
        why = f"{problem.msg}, column {problem.pos + 1}"
        raise DataError(f"not valid JSON ({why}). JSONL has one object per line.") from problem
    except (ValueError, RecursionError) as problem:  # a number with thousands of digits; deep nesting
        raise DataError(f"Python cannot read this JSON ({problem}).") from problem
    if not isinstance(row, dict):
        raise DataError(f"is {json_type_name(row)}, but must be an object. JSONL has one object per line.")
    return row


def _column_value(row: Mapping[str, object], column: Column) -> object:
    value = row.get(column.name)
    if column.field == "messages":
        chat = chat_text(value, column, row)
        _check_characters(chat or "")
        return chat
    if column.field == "labels" and value is not None:
        return _label_list(value, column)
    if isinstance(value, str):
        _check_characters(value)
        return value
    if value is None:
        return None
    if column.field == "label":
        return _integer_label(value, column)
    if column.field == "number":
        return _number_text(value, column)
    raise DataError(f"{column.name} ({column.setting}) is {json_type_name(value)}, but must be text.")


def _label_list(value: object, column: Column) -> list[str]:
    if not isinstance(value, list):
        raise DataError(
            f"{column.name} ({column.setting}) is {json_type_name(value)}, but must be a list of labels. Set "
            "data.label_separator where it is a text that holds several."
        )
    labels = [label if isinstance(label, str) else _integer_label(label, column) for label in value]
    _check_characters("".join(labels))
    return labels


def _number_text(value: object, column: Column) -> str:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return repr(value)
    raise DataError(f"{column.name} ({column.setting}) is {json_type_name(value)}, but must be a number.")


def _integer_label(value: object, column: Column) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    shown = json.dumps(value) if isinstance(value, bool | float) else json_type_name(value)
    raise DataError(
        f"{column.name} ({column.setting}) is {shown}, but a label must be text or a whole number. Write it as text."
    )


def _check_characters(text: str) -> None:
    """Check that the text can be encoded as UTF-8: escapes in JSON can stand for half of a surrogate pair."""
    if text.isascii():
        return
    try:
        text.encode()
    except UnicodeEncodeError as problem:
        raise DataError(
            f"holds half of a surrogate pair ({text[problem.start]!r}), which is no character. "
            "Remove it, or write the pair in full."
        ) from problem
