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
    assert lines[-2:] == ["steps      1,234 an epoch with trainer.batch_tokens=500", "took       2.0 s"]


@pytest.mark.parametrize("width", [30, 60, 80, 200])
def test_the_plot_fits_the_terminal(width: int) -> None:
    bins = list(range(5, 245, 5))
    counts = {f"p{p}": 240 for p in (0, 5, 25, 50, 75, 95, 99, 100)} | {"histogram": [1] * 48}
    one = source(lengths=counts) | {"bins": bins, "max_length": 120}
    plot = next(line for line in page(report(a=one), width, colour=False) if "█" in line)
    assert len(plot) <= width
    before, after = plot.split("│")
    assert before.count("█") == after.count("█")


def test_colour_is_added_and_changes_nothing_else() -> None:
    import re

    one = report(a=source(labels={"x": 1, "y": 3}) | {"label_names": ["x", "y"]})
    plain, coloured = ("\n".join(page(one, 80, colour=colour)) for colour in (False, True))
    assert "\x1b[36m" in coloured
    assert re.sub(r"\x1b\[\d+m", "", coloured) == plain


def test_bars() -> None:
    assert [horizontal_bar(share, 4) for share in (0, 1e-9, 0.5, 1)] == ["    ", "▏   ", "██  ", "████"]
    assert vertical_bars([0, 1, 50, 100]) == " ▁▄█"
    assert vertical_bars([0, 0]) == "  "


def test_what_is_learned_of_chats_is_green_also_over_lines() -> None:
    pieces = [{"text": "asked ", "counts": False}, {"text": "one two three", "counts": True}]
    sample = {"place": "/a/c.jsonl, line 1", "label": None, "pieces": pieces}
    lines = list(page(report(chats=source() | {"samples": {"train": [sample]}}), 39, colour=True))
    assert [line.replace("\x1b[32m", "<").replace("\x1b[0m", ">") for line in lines[-2:]] == [
        "train c.jsonl, line 1  asked <⟦><one two>",
        "<  three><⟧>",
    ]
