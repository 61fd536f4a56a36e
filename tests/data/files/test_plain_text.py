"""Plain text is read in passages that an example holds."""

from __future__ import annotations

from itertools import accumulate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from passingloop.data.files.plain_text import passages
from tests.data.made import HOSTILE, ROUND_TRIP


@ROUND_TRIP
@given(content=HOSTILE.filter(bool), max_length=st.integers(2, 9))
def test_the_passages_of_a_text_are_the_text(content: str, max_length: int, read) -> None:
    read_back = read("a.txt", b"\xef\xbb\xbf" + content.encode(), task="causal_lm", max_length=max_length)
    assert "".join(read_back) == content
    assert all(0 < len(passage) <= 4 * max_length for passage in read_back)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("aa\n\nbb\n\ncc\n", ["aa\n\nbb\n\n", "cc\n"]),
        ("aa\n\n\n\nbbbbbb\n", ["aa\n\n\n\n", "bbbbbb\n"]),
        ("aaa\nbbb\nccc\n\nd\n", ["aaa\nbbb\n", "ccc\n\nd\n"]),
        ("\n\na\n\nb", ["\n\na\n\nb"]),
        ("a\r\n\r\nb\r\n", ["a\r\n\r\nb\r\n"]),
        ("x" * 23, ["x" * 8, "x" * 8, "x" * 7]),
        ("", []),
    ],
)
def test_passages_end_at_blank_lines_where_they_can(text: str, expected: list[str]) -> None:
    pieces = (line[at : at + 8] for line in text.splitlines(keepends=True) for at in range(0, len(line), 8))
    found = list(passages(pieces, 8))
    assert [passage for _, passage in found] == expected
    before = list(accumulate([passage for _, passage in found], initial=""))
    assert [line for line, _ in found] == [text.count("\n") for text in before[:-1]]


def test_a_text_is_cut_by_the_tokens_of_an_example(read) -> None:
    paragraph = "word " * 100 + "\n\n"
    passages = read("book.md", paragraph * 100, task="causal_lm")
    assert "".join(passages) == paragraph * 100
    assert {len(passage) for passage in passages[:-1]} == {502 * 8}
