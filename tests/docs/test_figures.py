"""Figures in the documentation stand in the results that they name.

A figure is a link to a file of docs/results/, with its place in that file as the link's title: keys with dots between
them, then ``× 1000`` for other units, or ``| count`` for how many there are.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
FIGURE = re.compile(r'\[([^\]]+)\]\(((?:\.\./)*results/[\w-]+\.json) "([^"]+)"\)')
PAGES = [page for page in sorted(ROOT.glob("docs/**/*.md")) if FIGURE.search(page.read_text(encoding="utf-8"))]
QUESTIONS = ROOT / "docs" / "questions.md"


def test_there_are_figures() -> None:
    assert QUESTIONS in PAGES


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_figures_stand_in_their_results(page: Path) -> None:
    for shown, file, place in FIGURE.findall(page.read_text(encoding="utf-8")):
        value = found(json.loads((page.parent / file).read_text(encoding="utf-8")), place)
        digits = shown.replace(",", "")
        decimals = len(digits.partition(".")[2])
        assert f"{value:.{decimals}f}" == digits, f"{page.name} says {shown}, {file} has {value} at {place}"


def test_every_answer_says_how_it_was_measured() -> None:
    """With a figure, or with the page that has them."""
    for answer in QUESTIONS.read_text(encoding="utf-8").split("\n## ")[1:]:
        assert FIGURE.search(answer) or "(cost.md)" in answer, answer.splitlines()[0]


def test_commands_that_measure_are_there() -> None:
    commands = re.findall(r"`python (bench/\w+\.py)`", QUESTIONS.read_text(encoding="utf-8"))
    assert commands
    assert [command for command in commands if not (ROOT / command).is_file()] == []


def found(results: Any, place: str) -> float:
    """The value at a place of results."""
    keys, _, count = place.partition(" | ")
    keys, _, factor = keys.partition(" × ")
    while keys:
        if isinstance(results, list):
            key, _, keys = keys.partition(".")
            results = results[int(key)]
        else:
            key = max((name for name in results if (keys + ".").startswith(name + ".")), key=len)
            results, keys = results[key], keys[len(key) + 1 :]
    return float(len(results) if count else results) * float(factor or 1)
