"""What fulfils a condition: compared with SQLite, which reads and evaluates the same conditions in SQL."""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from passingloop.errors import ConfigError
from passingloop.index.conditions import is_missing, predicate, sort_key
from passingloop.index.expression import parse

NUMBERS = st.one_of(st.integers(-3, 3), st.sampled_from([0.5, -1.5, 3e-5, 1e10]))
WORDS = st.text("abAB", min_size=1, max_size=3)
ROWS = st.fixed_dictionaries({"number": st.none() | NUMBERS, "word": st.none() | WORDS})

Pair = tuple[str, str]
"""A condition, and the same in SQL, where nothing is NULL."""


@st.composite
def numeric(draw: st.DrawFn) -> Pair:
    sign, value = draw(st.sampled_from(["<", "<=", ">", ">=", "=", "!=", "in", "not in"])), draw(NUMBERS)
    match sign:
        case "=":
            return f"number={value!r}", f"(number IS {value!r})"
        case "!=":
            return f"number != {value!r}", f"(number IS NOT {value!r})"
        case "in":
            return f"number in ({value!r}, 1)", f"(number IS NOT NULL AND number IN ({value!r}, 1))"
        case "not in":
            return f"number not in ({value!r})", f"(number IS NULL OR number NOT IN ({value!r}))"
    return f"number{sign}{value!r}", f"(number IS NOT NULL AND number {sign} {value!r})"


@st.composite
def textual(draw: st.DrawFn) -> Pair:
    sign, value = draw(st.sampled_from(["<", ">=", "=", "!=", "~", "!~", "glob", "null"])), draw(WORDS)
    contains = f"(word IS NOT NULL AND instr(lower(word), '{value.lower()}') > 0)"
    match sign:
        case "=":
            return f"word='{value}'", f"(word IS '{value}')"
        case "!=":
            return f'word!="{value}"', f"(word IS NOT '{value}')"
        case "~":
            return f"word~{value}", contains
        case "!~":
            return f"word!~{value}", f"(NOT {contains})"
        case "glob":
            return f"word~{value}?*", f"(word IS NOT NULL AND lower(word) GLOB '{value.lower()}?*')"
        case "null":
            return "word=null", "(word IS NULL)"
    return f"word {sign} {value}", f"(word IS NOT NULL AND word {sign} '{value}')"


def joined(parts: st.SearchStrategy[Pair]) -> st.SearchStrategy[Pair]:
    """The joints are the same in both languages, also without parentheses: so the order of precedence is."""
    both = st.tuples(parts, st.sampled_from(["and", "or"]), parts)
    return st.one_of(
        both.map(lambda three: (f"{three[0][0]} {three[1]} {three[2][0]}", f"{three[0][1]} {three[1]} {three[2][1]}")),
        parts.map(lambda pair: (f"({pair[0]})", f"({pair[1]})")),
        parts.map(lambda pair: (f"not ({pair[0]})", f"NOT ({pair[1]})")),
        parts.map(lambda pair: (f"not {pair[0]}", f"NOT {pair[1]}")),
    )


CONDITIONS = st.recursive(st.one_of(numeric(), textual()), joined, max_leaves=6)


@settings(deadline=None)
@given(st.lists(ROWS, min_size=1, max_size=8), CONDITIONS)
def test_a_condition_finds_what_sqlite_finds(rows: list[dict[str, Any]], condition: Pair) -> None:
    ours, sql = condition
    holds = predicate(parse(ours))
    with closing(sqlite3.connect(":memory:")) as database:
        database.execute("CREATE TABLE runs (place INTEGER, number REAL, word TEXT)")
        database.executemany(
            "INSERT INTO runs VALUES (?, ?, ?)", [(i, row["number"], row["word"]) for i, row in enumerate(rows)]
        )
        found = [place for (place,) in database.execute(f"SELECT place FROM runs WHERE {sql} ORDER BY place")]
    assert [place for place, row in enumerate(rows) if holds(row.get)] == found


@pytest.mark.parametrize(
    ("condition", "value", "holds"),
    [
        ("k=true", True, True),
        ("k=True", True, True),
        ("k=1", True, False),
        ("k=null", None, True),
        ("k='null'", None, False),
        ("k!=3", None, True),
        ("k=good", ["good", "best"], True),
        ("k!=good", ["good", "best"], False),
        ("k in (a, best)", ["good", "best"], True),
        ("k~BES", ["good", "best"], True),
        ("k=null", [], True),
        ("k=null", ["good"], False),
        ("k=0.00003", 3e-5, True),
        ("k=4294967295", 4294967295, True),
        ("k=9007199254740993", 9007199254740992, False),
        ("k<abc", 3, False),
        ("k=abc", 3, False),
        ("k<1", math.nan, False),
        ("k>=1", math.nan, False),
        ("k=NaN", math.nan, True),
        ("k<inf", 3.0, True),
        ("k=-inf", -math.inf, True),
        ("k=0012", "0012", True),
        ("k=12", "0012", False),
        ("k>2026-11-01", "2026-11-03T09:15:02.118+00:00", True),
        ("k<2026-11-01", "2026-11-03T09:15:02.118+00:00", False),
        ("k~2026-11-03*", "2026-11-03T09:15:02.118+00:00", True),
        ("k~[a]*", "[a]b", True),
        ("k~[a]*", "ab", False),
        ("k~0.9", 0.91, True),
        ("age<2d", 86_400.0, True),
        ("age>=1.5h", 5400.0, True),
        ("age<=2days", 172_800.0, True),
        ("age<30m", 1801.0, False),
        ("created>2026-11-01", "2026-11-03T09:15:02.118+00:00", True),
        ("created>2026-12", "2026-11-03T09:15:02.118+00:00", False),
        ("created>=2026", "2026-11-03T09:15:02.118+00:00", True),
        ("created<2026-11-03T09:15:02", "2026-11-03T09:15:02.118+00:00", False),
        ("created<2026-11-03T10:15:02.2+01:00", "2026-11-03T09:15:02.118+00:00", True),
        ("created=2026-11-03", "2026-11-03T09:15:02.118+00:00", True),
        ("created!=2026-10", "2026-11-03T09:15:02.118+00:00", True),
        ("since<2026-10", None, False),
        ("since=null", None, True),
        ("cause!=null", None, False),
        ("state~complet", "completed", True),
        ("confirmed=True", True, True),
        ("gpus in (null, 2)", None, True),
    ],
)
def test_what_a_comparison_means(condition: str, value: Any, holds: bool) -> None:
    assert predicate(parse(condition))(lambda _: value) is holds


def test_a_duration_is_written_with_its_unit() -> None:
    with pytest.raises(ConfigError, match=r"compare age with 7, which is no duration.*such as age<7d"):
        predicate(parse("age<7"))


@pytest.mark.parametrize(
    ("condition", "said"),
    [
        ("state=complted", "compare state with complted, but it is never that. Did you mean completed?"),
        ("state!=complted", "Did you mean completed?"),
        ("state not in (failed, complete)", "Did you mean completed?"),
        ("state!~complted", "Did you mean completed?"),
        ("not cause=ooom", "Did you mean oom?"),
        ("launcher!=slrum", "Did you mean slurm?"),
        ("confirmed!=tru", "Did you mean true?"),
        ("created<yesterday", "compare created with yesterday, which is no time"),
        ("since<2026-13-45", "since with 2026-13-45, which is no time"),
        ("name=a or gpu_hours!=1h", "gpu_hours with 1h, which is no number"),
        ("user!=adda", "compare user with adda.*Did you mean ada?"),
        ("test/accuracy!=abc", "compare test/accuracy with abc, which is no number"),
        ("test/accuracy>nan", "compare test/accuracy with nan, which is no number"),
        ("not test/accuracy in (0.5, high)", "compare test/accuracy with high, which is no number"),
    ],
)
def test_a_value_that_a_field_cannot_have(condition: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said.replace("?", r"\?")):
        predicate(parse(condition), users=["ada"], metrics=["test/accuracy"])


@pytest.mark.parametrize("condition", ["loss=NaN", "loss in (0.5, nan)", "not loss!=nan", "loss!=null", "loss~na"])
def test_a_metric_may_be_compared_with_what_is_no_number_but_none_or_nan(condition: str) -> None:
    assert predicate(parse(condition), metrics=["loss"])(lambda _: math.nan)


def test_a_user_with_or_without_runs() -> None:
    condition = parse("user in (ada, root)")
    assert predicate(condition, users=["ada"])(lambda _: "ada")


def test_what_comes_last_in_an_order() -> None:
    assert [value for value in (None, math.nan, "", [], 0, False, "a", [1]) if is_missing(value)] == [
        None,
        math.nan,
        "",
        [],
    ]
    values: Iterator[Any] = iter(["b", 2, True, "a", -1.5, ["a", "c"]])
    assert sorted(values, key=sort_key) == [-1.5, True, 2, "a", ["a", "c"], "b"]
