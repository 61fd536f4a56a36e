"""What an answer may contain that another user of the node may have written."""

from __future__ import annotations

import pytest

from passingloop.slurm.polling.shared_answers import MAX_NODES, is_plausible
from tests.slurm.waiting.shown import NODES, PENDING, RUNNING, queue

SEPARATORS = "\n\t\x1f"


@pytest.mark.parametrize(
    "text",
    [
        "",
        queue(PENDING, RUNNING),
        NODES,
        "n[1-9],gpu[001-128,200]",
        "r[1-20]n[1-40]",
        "12_[0-9999%4]",
        "12_[1-50000:2]",
        "Reason=kernel panic [root@2026-11-29T12:00:00]",
        ",".join(f"a{number}[1-1000]" for number in range(500)),
    ],
)
def test_what_slurm_prints_is_plausible(text: str) -> None:
    assert is_plausible([text], SEPARATORS)


@pytest.mark.parametrize(
    "text",
    [
        "title \x1b]0;mine\x07",
        "a\x00b",
        "right to left \u202e",
        f"n[1-{MAX_NODES + 2}]",
        "12_[0-999999999]",
        "a[1-999]b[1-999]",
        "a[1-999][1-999]",
        "x,n[1,2,3-9999999999999]",
        "\n".join(["NodeList=n[1-90000]"] * 30),
    ],
)
def test_what_would_write_on_a_terminal_or_take_for_ever_is_not(text: str) -> None:
    assert not is_plausible(["fine", text], SEPARATORS)
