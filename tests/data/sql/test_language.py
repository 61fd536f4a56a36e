"""Which parts of a query are texts, comments, casts and parameters."""

from __future__ import annotations

import pytest

from passingloop.data.sql.language import bind_parameters, is_query, strip_leading_comments
from passingloop.errors import ConfigError

VALUES = {"a": 1, "since": "2026"}

BOUND = [
    ("SELECT :a", "SELECT ?", (1,)),
    (
        "SELECT x FROM t WHERE y>=:since AND z=:a OR z=-:a;",
        "SELECT x FROM t WHERE y>=? AND z=? OR z=-?",
        ("2026", 1, 1),
    ),
    ("SELECT ':a', \":a\", `:a`, $$ :a ' $$, $x$:a$x$, E'\\':a', 'it''s :a'", None, ()),
    ("SELECT x::int, y::a, arr[1:2], now()::time, '12:30'", None, ()),
    ("SELECT 1 -- :a ?\n, 2 /* :a ' ? */ + :a", "SELECT 1  \n, 2   + ?", (1,)),
    ("SELECT /*+ hint(:a) */ 1", None, ()),
    ("SELECT 1;\n-- end\n", "SELECT 1 \n ", ()),
]


@pytest.mark.parametrize(("text", "expected", "values"), BOUND)
def test_parameters_are_bound(text: str, expected: str | None, values: tuple[object, ...]) -> None:
    sql, found = bind_parameters(text, VALUES, "data.train=…")
    assert (sql.strip(), found) == ((expected or text).strip(), values)


def test_mysql_has_backslashes_in_texts() -> None:
    text = r"SELECT 'it\'s :a', :a"
    assert bind_parameters(text, VALUES, "q", backslash_escapes=True) == (r"SELECT 'it\'s :a', ?", (1,))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("SELECT :sinse", "but :sinse has no value. Did you mean since?"),
        ("SELECT 1; DELETE FROM t", "several statements"),
        ("SELECT ?", "a ? stands for a value in ODBC"),
    ],
)
def test_what_cannot_be_bound_is_said(text: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        bind_parameters(text, VALUES, f"data.train={text}")
    assert message in str(caught.value)


@pytest.mark.parametrize("text", ["select 1", "\n-- a\n/* b */ WITH x", "Select*from t"])
def test_queries_are_told_from_tables(text: str) -> None:
    assert is_query(text)
    assert strip_leading_comments(text)[:1] in "sSW"


@pytest.mark.parametrize("text", ["selection", "with_x", "sales.questions", "-- select"])
def test_tables_are_told_from_queries(text: str) -> None:
    assert not is_query(text)
