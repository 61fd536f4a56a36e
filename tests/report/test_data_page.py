"""The page on what preparing has found."""

from __future__ import annotations

from typing import Any

import pytest

from passingloop.report.data_page import horizontal_bar, page, vertical_bars


def source(**chosen: Any) -> dict[str, Any]:
    part = {
        **dict.fromkeys(("read", "unparsable", "empty", "unlabelled", "used", "nothing", "too_long"), 0),
        **dict.fromkeys(("duplicate", "conflicting", "leaked_from_train", "leaked_from_others"), 0),
        **dict.fromkeys(("examples", "tokens"), 0),
        "labels": {},
        "lengths": {f"p{p}": 7 for p in (0, 5, 25, 50, 75, 95, 99, 100)} | {"histogram": [1, 2, 4]},
    }
    found = {"folder": "/c", "reused": True, "bytes": 5, "max_length": 9, "bins": [3, 6, 9], "label_names": []}
    return found | {"parts": {"train": part | chosen}, "samples": {}}


def report(**sources: Any) -> dict[str, Any]:
    head = {
        "model": "m",
        "max_length": 9,
        "batch_size": None,
        "batch_tokens": 500,
        "steps_per_epoch": 1234,
        "seconds": 2,
    }
    return head | {"sources": sources}


def test_of_many_labels_the_most_and_the_least_frequent_are_shown() -> None:
    labels = {f"label {n:02}": 100 - n for n in range(40)}
    lines = list(page(report(a=source(labels=labels) | {"label_names": list(labels)}), 80, colour=False))
    shown = [line.split()[1] for line in lines if line.startswith("label ") and line.split()[1].isdigit()]
    assert shown == [f"{n:02}" for n in (*range(8), 37, 38, 39)]
    assert "… 29 more …" in lines


def test_several_sources_have_a_section_each_and_one_end() -> None:
    lines = list(page(report(faq=source(), shop=source()), 80, colour=False))
    assert [line for line in lines if line.startswith("data")] == ["data    faq", "data    shop"]
    assert [line.replace("\x1b[32m", "<").replace("\x1b[0m", ">") for line in lines[-2:]] == [
        "train c.jsonl, line 1  asked <⟦><one two>",
        "<  three><⟧>",
    ]
