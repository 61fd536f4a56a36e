"""What cannot be learned from is counted and named, dropped or refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from passingloop.data.files.source import Files
from passingloop.errors import DataError
from tests.data.conftest import Check
from tests.data.made import CHAT, GOOD, csv, jsonl, parquet, put

# Bad lines and rows, of each format

CASES: dict[str, tuple[str, bytes | str, dict[str, int], list[str]]] = {
    "csv": (
        "a.csv",
        csv(*GOOD, ("four", "a", "b"), (), ("five",), ("", "a"), (" ", "b"), ("six", ""), ('"se\nven"', "b"), ("8",)),
        {"read": 10, "unparsable": 3, "empty": 2, "unlabelled": 1, "used": 4},
        [
            "{}, line 5: 3 fields, but the header has 2. A delimiter within a field needs quotes.",
            "{}, line 7: 1 field, but the header has 2.",
            "{}, line 13: 1 field, but the header has 2.",
            "{}, line 8: no text, label 'a'",
            "{}, line 10: no label for 'six'",
        ],
    ),
    "jsonl": (
        "a.jsonl",
        jsonl(*GOOD, (None, "a"), ("four", None)).encode()
        + b'{"text": "caf\xe9", "label": "a"}\n{"text": \n\n[1]\n{"text": 5, "label": "a"}\n'
        + jsonl(("", "b"), ("five\u3000", "\u3000")).encode(),
        {"read": 11, "unparsable": 4, "empty": 2, "unlabelled": 2, "used": 3},
        [
            "{}, line 6: byte 0xe9 is not UTF-8.",
            "{}, line 7: not valid JSON (Expecting value, column 1",
            "{}, line 9: is a list, but must be an object.",
            "{}, line 4: no text, label 'a'",
            "{}, line 5: no label for 'four'",
            "  and 1 more\n",
        ],
    ),
    "parquet": (
        "a.parquet",
        parquet(
            (b"one", b"a"), (b"caf\xe9", b"b\xe9"), (b"two", b"b"), (None, b"a"), (b"three", None), (b"4", b"\xff")
        ),
        {"read": 6, "unparsable": 2, "empty": 1, "unlabelled": 1, "used": 2},
        [
            "{}, row 1 (from 0): text is not UTF-8 text.",
            "{}, row 5 (from 0): label is not UTF-8 text.",
            "{}, row 3 (from 0): no text, label 'a'",
            "{}, row 4 (from 0): no label for 'three'",
        ],
    ),
}


@pytest.mark.parametrize("kind", CASES)
def test_bad_examples_are_dropped_and_counted(kind: str, check: Check) -> None:
    name, content, counts, _ = CASES[kind]
    found = check(name, content, on_bad="drop")["train"]
    assert {key: found[key] for key in counts} == counts


@pytest.mark.parametrize("kind", CASES)
def test_or_all_are_counted_the_first_named_and_nothing_is_prepared(kind: str, check: Check, tmp_path: Path) -> None:
    name, content, counts, places = CASES[kind]
    with pytest.raises(DataError) as caught:
        check(name, content, on_bad="fail")
    message = str(caught.value)
    bad = counts["unparsable"] + counts["empty"] + counts["unlabelled"]
    assert message.startswith(f"{bad} of {counts['read']} examples cannot be used. train: {counts['unparsable']} lines")
    assert message.endswith("\nCorrect them, or set data.on_bad=drop to go on without them.")
    for place in places:
        assert place.replace("{}", str(tmp_path / name)) in message
    assert not [path for path in (tmp_path / "cache" / "tokens").iterdir() if path.is_dir()]


def test_the_bad_of_all_parts_stand_in_one_message(check: Check) -> None:
    with pytest.raises(DataError) as caught:
        check("a.csv", csv(*GOOD, ("", "a")), test=csv(("one", "a"), ("x",)), on_bad="fail")
    assert "2 of 6 examples cannot be used. train: 1 example has no text. test: 1 line cannot be parsed." in str(
        caught.value
    )


def test_bad_chats_are_dropped_whatever_holds_them(check: Check, tmp_path: Path) -> None:
    chats = [CHAT, None, [], [{"role": "user", "content": None}], CHAT[:1], CHAT]
    lines = "".join(json.dumps({"chat": chat}) + "\n" for chat in chats)
    pq.write_table(pa.table({"chat": chats}), tmp_path / "b.parquet")
    for name, content in (("a.jsonl", lines.encode()), ("b.parquet", (tmp_path / "b.parquet").read_bytes())):
        found = check(name, content, messages="chat", on_bad="drop")["train"]
        counts = {key: found[key] for key in ("read", "unparsable", "empty", "nothing", "duplicate", "examples")}
        assert counts == {"read": 6, "unparsable": 2, "empty": 1, "nothing": 1, "duplicate": 1, "examples": 2}


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", csv(("a", "b"), ("x",), ('"open', "c")), "line 4: a quote that is opened here is not closed"),
        ("a.csv", b"text,label\na,b\nx\nna\xefve,b\n", "line 4: byte 0xef is not UTF-8"),
        ("a.csv", csv(("a",), ("b",)), "has no examples. None of its lines can be used. "),
        ("a.jsonl", "text,label\na,b\n", "a.jsonl, line 1: not valid JSON"),
        ("a.jsonl", '{"text": "a"}\n', "has no column label"),
        ("a.jsonl", '{\n{"text": "a"}\n', "has no column label"),
        ("a.jsonl", jsonl(*GOOD).encode("utf-16"), "is UTF-16, not UTF-8"),
        ("a.parquet", parquet((b"a", b"b"))[:-9], "damaged"),
        ("a.csv", csv(("", "a")), "have no usable example. train: 1 empty example dropped."),
    ],
)
def test_what_is_wrong_as_a_whole_is_never_dropped(name: str, content: Any, message: str, check: Check) -> None:
    with pytest.raises(DataError) as caught:
        check(name, content, on_bad="drop")
    assert message in str(caught.value)


def test_a_look_refuses_a_bad_line_unless_such_are_dropped(tmp_path: Path, data_config: Any) -> None:
    path = str(put(tmp_path / "a.jsonl", "{\n" + jsonl(*GOOD)))
    Files(data_config(train=path, on_bad="drop"), "classification").check()
    with pytest.raises(DataError, match=r"line 1: not valid JSON .* set data\.on_bad=drop"):
        Files(data_config(train=path, on_bad="fail"), "classification").check()


def test_a_limit_counts_what_is_bad_once(check: Check) -> None:
    found = check("a.csv", csv(*GOOD, ("", "a"), ("x",)), on_bad="drop", limit=2)["train"]
    assert (found["read"], found["empty"], found["unparsable"], found["used"]) == (5, 1, 1, 2)
