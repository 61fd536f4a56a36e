"""The conditions of ``passingloop list --where``: from text to a tree.

    condition  = and-part { "or" and-part }
    and-part   = not-part { "and" not-part }
    not-part   = "not" not-part | "(" condition ")" | comparison
    comparison = key ( "=" | "!=" | "<" | "<=" | ">" | ">=" | "~" | "!~" ) value
               | key [ "not" ] "in" "(" value { "," value } ")"
    key, value = a word, or a text in quotes

Words end at a space and at any of ``( ) , = ! < > ~ ' "``. Of two quotes of the same kind in a quoted text the first is
left out: ``'it''s'``.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from passingloop.errors import ConfigError

Operator = Literal["=", "<", "<=", ">", ">=", "~", "in"]

TOKEN = re.compile(
    r"""\s*(?:(?P<mark>==|!=|!~|<=|>=|[=<>~(),])|(?P<word>[^\s()'",=!<>~]+)
    |'(?P<single>(?:[^']|'')*)'|"(?P<double>(?:[^"]|"")*)"|(?P<end>$))""",
    re.VERBOSE,
)
KEYWORDS = ("and", "or", "not", "in")
COMPARISONS = ("=", "==", "!=", "<", "<=", ">", ">=", "~", "!~")

DEEPEST = 100
"""Parentheses and ``not`` within each other."""


@dataclass(frozen=True, slots=True)
class Value:
    """What a key is compared with."""

    text: str
    quoted: bool = False

    @property
    def is_null(self) -> bool:
        """Whether it stands for no value."""
        return not self.quoted and self.text.lower() in ("null", "none")


@dataclass(frozen=True, slots=True)
class Comparison:
    """A comparison with one value; with ``in`` one or several."""

    key: str
    operator: Operator
    values: tuple[Value, ...]


@dataclass(frozen=True, slots=True)
class Not:
    """What is true where another expression is not."""

    negated: Expression


@dataclass(frozen=True, slots=True)
class Both:
    """What is true where each of these is."""

    parts: tuple[Expression, ...]


@dataclass(frozen=True, slots=True)
class Either:
    """What is true where one of these is."""

    parts: tuple[Expression, ...]


Expression = Comparison | Not | Both | Either


def parse(text: str) -> Expression:
    """The tree of a condition.

    Raises:
        ConfigError: it is no condition; the message says where it ends to be one.
    """
    return _Parser(text).whole()


def keys(expression: Expression) -> list[str]:
    """The keys in it, in their order, each once."""
    match expression:
        case Comparison(key=key):
            return [key]
        case Not(negated=negated):
            return keys(negated)
        case Both(parts=parts) | Either(parts=parts):
            return list(dict.fromkeys(key for part in parts for key in keys(part)))


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    """``mark``, ``word``, ``quoted`` or ``end``."""
    text: str
    place: int

    def is_keyword(self, word: str) -> bool:
        return self.kind == "word" and self.text.lower() == word


class _Parser:
    """Reads a condition from left to right, with one function for each line of the grammar."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = self._split()
        self._next = 0
        self._depth = 0

    def whole(self) -> Expression:
        expression = self._condition()
        if self._token.kind != "end":
            raise self._error(f"{self._token.text!r} is not expected here. Join comparisons with `and` or `or`")
        return expression

    def _split(self) -> list[_Token]:
        tokens, place = list[_Token](), 0
        while not tokens or tokens[-1].kind != "end":
            match = TOKEN.match(self._text, place)
            if match is None:
                place += len(self._text[place:]) - len(self._text[place:].lstrip())
                quote = self._text[place] in "'\""
                why = "a quote is not closed" if quote else f"{self._text[place]!r} means nothing here"
                raise _error(self._text, place, why)
            kind = str(match.lastgroup)
            text = match[kind]
            if kind in ("single", "double"):
                text, kind = text.replace("''", "'") if kind == "single" else text.replace('""', '"'), "quoted"
            tokens.append(_Token(kind, text, match.start(match.lastgroup or 0)))
            place = match.end()
        return tokens

    @property
    def _token(self) -> _Token:
        return self._tokens[self._next]

    def _take(self) -> _Token:
        self._next += 1
        return self._tokens[self._next - 1]

    def _takes(self, word: str) -> bool:
        """Whether the next token is this keyword or mark, which is then taken."""
        token = self._token
        found = token.is_keyword(word) if word in KEYWORDS else (token.kind, token.text) == ("mark", word)
        self._next += found
        return found

    def _condition(self) -> Expression:
        return self._parts("or", lambda: self._parts("and", self._negation, Both), Either)

    def _parts(self, joint: str, read: Callable[[], Expression], kind: type[Both | Either]) -> Expression:
        parts = [read()]
        while self._takes(joint):
            parts.append(read())
        return parts[0] if len(parts) == 1 else kind(tuple(parts))

    def _negation(self) -> Expression:
        self._depth += 1
        if self._depth > DEEPEST:
            raise self._error(f"there are more than {DEEPEST} parentheses or `not` within each other")
        if self._takes("not"):
            expression: Expression = Not(self._negation())
        elif self._takes("("):
            expression = self._condition()
            if not self._takes(")"):
                raise self._error("a parenthesis is not closed")
        else:
            expression = self._comparison()
        self._depth -= 1
        return expression

    def _comparison(self) -> Expression:
        key = self._word("the name of a setting, a metric or a field")
        negated = self._takes("not")
        if self._takes("in"):
            among = Comparison(key.text, "in", self._list())
            return Not(among) if negated else among
        token = self._token
        if negated or token.kind != "mark" or token.text not in COMPARISONS:
            raise self._error(f"after {key.text} one of {' '.join(COMPARISONS)} or `in` is expected")
        operator = self._take().text
        value = self._word(f"a value after {operator}")
        positive: Operator = {"!=": "=", "==": "=", "!~": "~"}.get(operator, operator)  # type: ignore[assignment]
        comparison = Comparison(key.text, positive, (value,))
        return Not(comparison) if operator in ("!=", "!~") else comparison

    def _list(self) -> tuple[Value, ...]:
        if not self._takes("("):
            raise self._error("after `in` a list is expected, such as (a, b)")
        values = [self._word("a value")]
        while self._takes(","):
            values.append(self._word("a value"))
        if not self._takes(")"):
            raise self._error("the list is not closed with a parenthesis")
        return tuple(values)

    def _word(self, expected: str) -> Value:
        token = self._token
        if token.kind not in ("word", "quoted") or (token.kind == "word" and token.text.lower() in KEYWORDS):
            raise self._error(f"{expected} is expected")
        self._next += 1
        return Value(token.text, token.kind == "quoted")

    def _error(self, why: str) -> ConfigError:
        return _error(self._text, self._token.place, why)


def _error(text: str, place: int, why: str) -> ConfigError:
    where = f"at {text[place:]!r}" if text[place:] else "at its end"
    return ConfigError(
        f'You set --where {text!r}, but {where} {why}. A condition is such as "data.source=files and '
        '(test/accuracy>0.9 or tag in (good, best))"; values with spaces are put in quotes.'
    )
