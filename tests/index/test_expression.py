"""The grammar of conditions."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from passingloop.errors import ConfigError
from passingloop.index.expression import Both, Comparison, Either, Expression, Not, Value, keys, parse


def equal(key: str, text: str, *, quoted: bool = False) -> Comparison:
    return Comparison(key, "=", (Value(text, quoted),))


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        ("a=1", equal("a", "1")),
        ("  test/accuracy >= 0.9 ", Comparison("test/accuracy", ">=", (Value("0.9"),))),
        ("data.train='my file.csv'", equal("data.train", "my file.csv", quoted=True)),
        ('note="it\'s ""so"""', equal("note", 'it\'s "so"', quoted=True)),
        ("'my source/accuracy'>1", Comparison("my source/accuracy", ">", (Value("1"),))),
        ("a==1", equal("a", "1")),
        ("a!=1", Not(equal("a", "1"))),
        ("a!~x", Not(Comparison("a", "~", (Value("x"),)))),
        ("a=1 or b=2 and c=3", Either((equal("a", "1"), Both((equal("b", "2"), equal("c", "3")))))),
        ("not a=1 and b=2", Both((Not(equal("a", "1")), equal("b", "2")))),
        ("not (a=1 and b=2)", Not(Both((equal("a", "1"), equal("b", "2"))))),
        ("NOT NOT a=1", Not(Not(equal("a", "1")))),
        ("a in (x, 'y z',3)", Comparison("a", "in", (Value("x"), Value("y z", quoted=True), Value("3")))),
        ("a not in (x)", Not(Comparison("a", "in", (Value("x"),)))),
        ("a='or'", equal("a", "or", quoted=True)),
        ("a=android and b=nothing", Both((equal("a", "android"), equal("b", "nothing")))),
        ("a=-1e-3 and path=/data/x*", Both((equal("a", "-1e-3"), equal("path", "/data/x*")))),
    ],
)
def test_what_a_condition_means(text: str, tree: Expression) -> None:
    assert parse(text) == tree


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "at its end the name of a setting"),
        ("a", "after a one of"),
        ("a=", "at its end a value after = is expected"),
        ("a=or", "a value after = is expected"),
        ("a=1 b=2", "at 'b=2' 'b' is not expected here"),
        ("(a=1", "a parenthesis is not closed"),
        ("a=1)", "')' is not expected"),
        ("a='x", 'at "\'x" a quote is not closed'),
        ("a in x", "a list is expected"),
        ("a in (x", "the list is not closed"),
        ("a in ()", "a value is expected"),
        ("a not = 1", "after a one of"),
        ("a=!1", "means nothing here"),
        ("!a=1", "means nothing here"),
        ("(" * 500 + "a=1" + ")" * 500, "more than 100 parentheses"),
        ("not " * 500 + "a=1", "more than 100 parentheses"),
        ("__import__('os').system('id')", "is expected"),
    ],
)
def test_what_is_no_condition_is_said_where_it_ends_to_be_one(text: str, said: str) -> None:
    with pytest.raises(ConfigError) as raised:
        parse(text)
    assert said in str(raised.value)


TEXTS = st.text(st.characters(min_codepoint=32, max_codepoint=0x2FF), max_size=8)
COMPARISONS = st.builds(
    Comparison,
    TEXTS,
    st.sampled_from(["=", "<", "<=", ">", ">=", "~", "in"]),
    st.builds(Value, TEXTS, st.just(value=True)).map(lambda value: (value,)),
)
TREES = st.recursive(
    COMPARISONS,
    lambda parts: st.one_of(
        st.builds(Not, parts),
        st.lists(parts, min_size=2, max_size=3).map(tuple).map(Both),
        st.lists(parts, min_size=2, max_size=3).map(tuple).map(Either),
    ),
    max_leaves=8,
)


def written(tree: Expression) -> str:
    """The text of a tree, with every part in parentheses."""
    match tree:
        case Comparison(key=key, operator=sign, values=(value,)):
            right = f"({quoted(value.text)})" if sign == "in" else quoted(value.text)
            return f"{quoted(key)} {sign} {right}"
        case Not(negated=negated):
            return f"not ({written(negated)})"
        case Both(parts=parts):
            return " and ".join(f"({written(part)})" for part in parts)
        case Either(parts=parts):
            return " or ".join(f"({written(part)})" for part in parts)
    raise AssertionError(tree)


def quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


@given(TREES)
def test_every_tree_can_be_written(tree: Expression) -> None:
    assert parse(written(tree)) == tree


@given(st.text(max_size=30))
def test_any_text_is_a_condition_or_refused(text: str) -> None:
    try:
        assert keys(parse(text))
    except ConfigError as refused:
        assert "--where" in str(refused)
