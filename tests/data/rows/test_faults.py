"""What cannot be learned from is counted and named, dropped or refused; what is repeated or leaked is told."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from passingloop.data.files.settings import FilesData
from passingloop.data.files.source import Files
from passingloop.data.prepare import repeats
from passingloop.data.prepare.equality import normalise, text_hashes
from passingloop.data.prepare.fill import Recipe
from passingloop.data.prepare.pipeline import Prepared, prepare_source
from passingloop.data.prepare.repeats import RepeatWriter, count_repeats
from passingloop.data.prepare.split import LowestHashes
from passingloop.errors import DataError
from passingloop.tasks.task import learning_task

Write = Callable[..., Path]
Check = Callable[..., dict[str, Any]]

GOOD = [("one train", "a"), ("two trains", "b"), ("three trains", "a")]


@pytest.fixture
def check(tmp_path: Path, data_config: Callable[..., FilesData], bert_tokenizer: Any, chat_tokenizer: Any) -> Check:
    """``check("a.csv", content, test=…)``: what ``meta.json`` says, by part; parts are not split off."""

    def check(name: str, content: bytes | str, **chosen: Any) -> dict[str, Any]:
        return checked(name, content, **chosen).meta["parts"]

    def checked(name: str, content: bytes | str, **chosen: Any) -> Prepared:
        put(tmp_path / name, content)
        named = {part: str(put(tmp_path / f"{part}-{name}", chosen.pop(part))) for part in [*chosen] if part == "test"}
        fractions = {"validation_fraction": 0, "test_fraction": 0}
        config = data_config(train=str(tmp_path / name), **fractions | named | chosen)
        if config.messages:
            task, tokenizer, length = "causal_lm", chat_tokenizer, 256
        else:
            task, tokenizer, length = "classification", bert_tokenizer, 16
        recipe = Recipe(task=task, config=config, tokenizer=tokenizer, max_length=length)
        return prepare_source(recipe, Files(config, task), tmp_path / "cache", lambda _: None)[0]

    check.prepared = checked  # type: ignore[attr-defined]
    return check


def put(path: Path, content: bytes | str) -> Path:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def csv(*rows: tuple[str, ...]) -> str:
    return "".join(",".join(row) + "\n" for row in (("text", "label"), *rows))


def jsonl(*rows: tuple[str | None, ...]) -> str:
    return "".join(json.dumps(dict(zip(("text", "label"), row, strict=True))) + "\n" for row in rows)


def parquet(*rows: tuple[bytes | None, ...]) -> bytes:
    columns = [pa.array(values, pa.binary()).view(pa.string()) for values in zip(*rows, strict=True)]
    with pa.BufferOutputStream() as sink:
        pq.write_table(pa.table(dict(zip(("text", "label"), columns, strict=True))), sink)
        return sink.getvalue().to_pybytes()


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


CHAT = [{"role": "user", "content": "hello"}, {"role": "assistant", "content": "good day"}]


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


# Repeats

TESTED = [("One  Train", "a"), ("ＴＷＯ trains", "b"), ("three\ttrains ", "a"), ("another", "b")]
"""The first three are those of GOOD, in other letters."""


def test_a_test_of_the_training_data_leaks_whole(check: Check) -> None:
    prepared = check.prepared("a.csv", csv(*GOOD), test=csv(*GOOD))  # type: ignore[attr-defined]
    assert prepared.meta["parts"]["test"]["leaked_from_train"] == 3
    assert (
        "test: 3 of 3 test texts also stand in the training data: what is measured on them says nothing about new "
        "texts." in prepared.notes
    )


def test_case_width_and_white_space_hide_no_leak(check: Check) -> None:
    found = check("a.csv", csv(*GOOD), test=csv(*TESTED), on_bad="fail")
    assert found["test"]["leaked_from_train"] == 3
    assert found["train"]["leaked_from_train"] == 0


def test_repeats_and_conflicts_are_counted(check: Check) -> None:
    found = check("a.csv", csv(*GOOD, ("ONE train", "b"), ("one train", "a"), ("two  trains", "b")))["train"]
    assert (found["duplicate"], found["conflicting"]) == (3, 3)


def test_what_is_split_off_never_leaks(check: Check) -> None:
    rows = [(f"Text {i % 100}".upper() if i % 3 else f"text  {i % 100} ", "ab"[i % 2]) for i in range(1000)]
    found = check("a.csv", csv(*rows), validation_fraction=0.3, test_fraction=0.3)
    assert [found[part]["leaked_from_train"] for part in found] == [0, 0, 0]
    assert sum(found[part]["used"] for part in found) == 1000
    assert found["test"]["read"] is None
    assert sum(found[part]["duplicate"] for part in found) == 900


def test_equal_chats_are_equal_in_roles_and_words(check: Check) -> None:
    other = [CHAT[0] | {"role": "system"}, CHAT[1]]
    same = [CHAT[0] | {"content": " HELLO"}, CHAT[1]]
    lines = "".join(json.dumps({"chat": chat}) + "\n" for chat in (CHAT, other, same))
    assert check("a.jsonl", lines, messages="chat")["train"]["duplicate"] == 1


def naive(own: list[tuple[str, int]], train: list[str]) -> tuple[int, int, int]:
    """The same counts, by the definitions."""
    texts = [normalise(text) for text, _ in own]
    classes = {(text, label) for text, (_, label) in zip(texts, own, strict=True)}
    several = Counter(text for text, _ in classes)
    known = {normalise(text) for text in train}
    return (
        sum(text in texts[:place] for place, text in enumerate(texts)),
        sum(several[text] > 1 for text in texts),
        sum(text in known for text in texts),
    )


WORDS = st.text(alphabet="aAｂßﬁ \t", max_size=3)


@settings(max_examples=60, deadline=None)
@given(own=st.lists(st.tuples(WORDS, st.integers(0, 1)), max_size=25), train=st.lists(WORDS, max_size=25))
def test_repeats_are_those_of_the_definition(
    own: list[tuple[str, int]], train: list[str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("repeats")
    for name, texts, labels in (("own", [t for t, _ in own], [n for _, n in own]), ("train", train, [0] * len(train))):
        (folder / name).mkdir()
        with RepeatWriter(folder / name) as writer:
            writer.add(text_hashes(texts), np.array(labels, np.int32))
    for at_once in (1 << 21, 4):  # in one range of hashes, and in several
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(repeats, "RECORDS_IN_MEMORY", at_once)
            found = count_repeats(folder / "own", [folder / "train"])
        assert (found.duplicate, found.conflicting, found.leaked_from_train) == naive(own, train)


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=20))
def test_the_short_way_to_normalise_is_the_long_one(text: str) -> None:
    import unicodedata

    assert normalise(text) == " ".join(unicodedata.normalize("NFKC", text).casefold().split())


@settings(max_examples=60, deadline=None)
@given(hashes=st.lists(st.integers(0, 9), max_size=60), count=st.integers(1, 9), size=st.integers(1, 20))
def test_the_lowest_hashes_are_found_piece_by_piece(hashes: list[int], count: int, size: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("passingloop.data.prepare.split.MAX_EXCESS", 5)
        lowest = LowestHashes(count)
        for start in range(0, len(hashes), size):
            piece = np.array(hashes[start : start + size], np.uint64)
            lowest.add(piece, np.arange(start, start + len(piece)))
    mixed = [hash_ * 0x9E3779B97F4A7C15 % 2**64 for hash_ in hashes]
    assert lowest.rows().tolist() == sorted(sorted(range(len(hashes)), key=lambda row: (mixed[row], row))[:count])


def test_memory_does_not_hold_the_texts(tmp_path: Path) -> None:
    """A million hashes: what counting takes is a small multiple of the range that is looked at, not of all."""
    import tracemalloc

    with RepeatWriter(tmp_path) as writer:
        for start in range(0, 1_000_000, 100_000):
            writer.add(np.arange(start, start + 100_000).astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15), None)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(repeats, "RECORDS_IN_MEMORY", 50_000)
        tracemalloc.start()
        assert count_repeats(tmp_path, [tmp_path]).leaked_from_train == 1_000_000
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert peak < 8e6  # the file has 12 MB


# What else is told


def test_labels_lengths_and_samples(check: Check) -> None:
    rows = [("word " * (number % 20 + 1), "ab"[number % 4 == 0]) for number in range(200)]
    prepared = check.prepared("a.csv", csv(*rows))  # type: ignore[attr-defined]
    found, bins = prepared.meta["parts"]["train"], prepared.meta["bins"]
    assert found["labels"] == {"a": 150, "b": 50}
    lengths = found["lengths"]
    # [CLS] and [SEP] come to 1 to 20 words.
    assert [lengths[f"p{p}"] for p in (0, 5, 25, 50, 75, 95, 99, 100)] == [3, 3, 7, 12, 17, 21, 22, 22]
    assert found["too_long"] == 60  # more than 14 words
    assert 16 in bins and sum(lengths["histogram"]) == 200
    assert sum(n for end, n in zip(bins, lengths["histogram"], strict=True) if end > 16) == 60
    assert found["samples"] == [0, 99, 199]


@pytest.mark.parametrize("side", ["right", "left"])
def test_what_is_cut_is_what_the_tokenizer_would_cut(bert_tokenizer: Any, side: str) -> None:
    texts = ["a", "", "a long text that is cut on one of its sides", "six words that fit right in"]
    batch = pa.record_batch([range(4), texts, ["x"] * 4], names=["row", "text", "label"])
    before = bert_tokenizer.truncation_side
    bert_tokenizer.truncation_side = side
    try:
        for length in (2, 3, 6, 8, 50):
            ours = [ids.tolist() for ids in learning_task("classification").encoder(bert_tokenizer, length)(batch).ids]
            assert ours == bert_tokenizer(texts, truncation=True, max_length=length)["input_ids"]
    finally:
        bert_tokenizer.truncation_side = before
