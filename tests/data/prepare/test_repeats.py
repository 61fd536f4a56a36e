"""Texts that are repeated, that have two labels, or that leak into the test data are counted."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from passingloop.data.prepare import repeats
from passingloop.data.prepare.equality import normalise, text_hashes
from passingloop.data.prepare.repeats import RepeatWriter, count_repeats
from tests.data.conftest import Check
from tests.data.made import CHAT, GOOD, csv

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
