"""A chat is a list of messages, each with a role and a content that are text."""

from __future__ import annotations

from passingloop.data.rows.columns import Column
from passingloop.errors import DataError

KINDS = {
    type(None): "null",
    bool: "true or false",
    int: "a number",
    float: "a number",
    str: "text",
    list: "a list",
}


def kind_of(value: object) -> str:
    """What a JSON value is, in words."""
    return KINDS.get(type(value), "an object")


def check_chat(value: object, column: Column) -> list[dict[str, str]] | None:
    """The messages of `value` with role and content only; None stays None.

    Raises:
        DataError: it is no chat; where it stands is for the caller to add.
    """
    if value is None:
        return None
    if not isinstance(value, list) or not value:
        found = "an empty list" if value == [] else kind_of(value)
        raise DataError(
            f"{column.name} ({column.setting}) is {found}, but must be a list of messages, "
            'such as [{"role": "user", "content": "…"}].'
        )
    return [_check_message(message, number) for number, message in enumerate(value, 1)]


def _check_message(message: object, number: int) -> dict[str, str]:
    if not isinstance(message, dict):
        raise DataError(f"message {number} is {kind_of(message)}, but must be an object with role and content.")
    for key in ("role", "content"):
        if key not in message:
            raise DataError(f"message {number} has no {key}. It has: {', '.join(map(str, message)) or 'nothing'}.")
        if not isinstance(message[key], str):
            raise DataError(f"message {number}: {key} is {kind_of(message[key])}, but must be text.")
    return {"role": message["role"], "content": message["content"]}
