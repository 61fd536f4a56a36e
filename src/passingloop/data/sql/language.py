"""A minimal tokenizer of SQL: finds comments, quoted texts, and the `:name` of parameters."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping

from passingloop.config.build import did_you_mean
from passingloop.errors import ConfigError

Value = str | int | float | bool | None
"""A value that can be bound to a `:name`."""

COMMENT = r"--[^\n]*|/\*.*?(?:\*/|\Z)"
# A quote inside a text is doubled; it may follow a backslash in PostgreSQL's E'…', and in all texts of MySQL.
TEXT = {False: r"'(?:[^']|'')*'|(?<!\w)[eE]'(?:[^'\\]|\\.|'')*'", True: r"'(?:[^'\\]|\\.|'')*'"}
TOKEN = {
    backslash_escapes: re.compile(
        rf"(?P<comment>{COMMENT})|(?P<quoted>{text}|\"(?:[^\"]|\"\")*\"|`(?:[^`]|``)*`|\$(?P<tag>\w*)\$.*?\$(?P=tag)\$)"
        r"|(?P<end>;)|(?P<mark>\?)|::|:=|(?<![\w\]]):(?P<name>[A-Za-z_]\w*)",
        re.DOTALL,
    )
    for backslash_escapes, text in TEXT.items()
}
QUERY_START = re.compile(r"\s*(?:SELECT|WITH)\b", re.IGNORECASE)
TABLE_PART = re.compile(r"[^\s\"'`;,()\[\]]+")


def strip_leading_comments(text: str) -> str:
    """The text without comments before the statement: psqlodbc does not stream a query that starts with a comment."""
    return re.sub(rf"^(?:\s+|{COMMENT})+", "", text, flags=re.DOTALL)


def is_query(text: str) -> bool:
    """Whether the text is a query, and not the name of a table."""
    return QUERY_START.match(strip_leading_comments(text)) is not None


def table_parts(text: str, setting: str) -> list[str]:
    """The parts of a table's name such as `sales.questions`.

    Raises:
        ConfigError: the text is not the name of a table.
    """
    parts = text.split(".")
    if not all(TABLE_PART.fullmatch(part) for part in parts):
        raise ConfigError(
            f"You set {setting}, but that is neither a table's name nor a query, which begins with SELECT or WITH."
        )
    return parts


def parameter_names(text: str, *, backslash_escapes: bool = False) -> list[str]:
    """The names of the parameters in the order in which they occur."""
    return [token["name"] for token in TOKEN[backslash_escapes].finditer(text) if token["name"]]


def bind_parameters(
    text: str, values: Mapping[str, Value], setting: str, *, backslash_escapes: bool = False
) -> tuple[str, tuple[Value, ...]]:
    """The query with a `?` for each `:name`, and the values in their order.

    Raises:
        ConfigError: a name has no value, or the text is not one query.
    """
    text = strip_leading_comments(text).strip()
    tokens = list(TOKEN[backslash_escapes].finditer(text))
    _check_one_statement(text, tokens, setting)
    names = [token["name"] for token in tokens if token["name"]]
    for name in names:
        if name not in values:
            raise ConfigError(
                f"You set {setting}, but :{name} has no value.{did_you_mean(name, values)} "
                f"Give it one: +data.parameters.{name}=…"
            )
    if any(token["mark"] for token in tokens):
        raise ConfigError(
            f"You set {setting}, but a ? stands for a value in ODBC. Name it, as in :since, and set "
            "+data.parameters.since=…"
        )
    return "".join(_pieces(text, tokens)), tuple(values[name] for name in names)


def check_parameters_used(values: Collection[str], used: Collection[str]) -> None:
    """Check that every value is used in a query.

    Raises:
        ConfigError: one is not.
    """
    for name in values:
        if name not in used:
            raise ConfigError(
                f"You set data.parameters.{name}, but no query has :{name}.{did_you_mean(name, used)} Leave it out, "
                "or use it."
            )


def _check_one_statement(text: str, tokens: list[re.Match[str]], setting: str) -> None:
    ends = [token for token in tokens if token["end"]]
    if ends and strip_leading_comments(text[ends[0].end() :]).strip("; \t\r\n"):
        raise ConfigError(f"You set {setting}, which holds several statements. Give one query; several are a list.")


def _pieces(text: str, tokens: list[re.Match[str]]) -> Iterator[str]:
    position = 0
    for token in tokens:
        # Comments are removed, as drivers take a ? in them for a parameter. /*+ and /*! start hints, which are kept.
        if token["name"] or token["end"] or (token["comment"] and token["comment"][2:3] not in ("+", "!")):
            yield text[position : token.start()]
            yield "?" if token["name"] else " "
            position = token.end()
    yield text[position:]
