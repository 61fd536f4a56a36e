"""Whether several processes have a model whole or in parts, by the memory."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from passingloop.model.strategy import Sharing, Strategy, choose_sharing

STATE, GRADIENTS, PER_TOKEN = 160, 40, 1
"""Bytes of a model whose weights, gradients and moments take 4 × 40, and of a token."""


def room(memory: int) -> Callable[[int, int], int]:
    return lambda shards, held: max(1, (memory - STATE // shards - held) // PER_TOKEN)


def choose(memory: int, wanted: Strategy = "auto", processes: int = 4, rows: int | None = None) -> Sharing:
    return choose_sharing(wanted, processes, room(memory), row=10, gradients=GRADIENTS, rows=rows)


@pytest.mark.parametrize(
    ("memory", "sharded", "keeps"),
    [
        (170, False, False),  # a row fits beside the whole state
        (169, True, True),
        (160, True, True),  # 120 without whole gradients, 80 with them
        (159, True, False),
        (80, True, False),  # even then a row does not fit: nothing is lost by trying
    ],
)
def test_a_model_is_whole_where_it_fits(memory: int, sharded: bool, keeps: bool) -> None:
    found = choose(memory)
    assert (found.is_sharded, found.keeps_gradients) == (sharded, keeps)


def test_what_is_asked_for_is_done() -> None:
    assert not choose(80, "ddp").is_sharded
    assert choose(1000, "fsdp").is_sharded and choose(1000, "fsdp").keeps_gradients
    assert choose(80, "fsdp", processes=1) == Sharing(is_sharded=False)


@pytest.mark.parametrize(("rows", "keeps"), [(5, True), (6, False)])
def test_of_a_given_micro_batch_all_rows_must_fit_beside_whole_gradients(rows: int, keeps: bool) -> None:
    assert choose(130, rows=rows).keeps_gradients is keeps


def test_the_header_says_what_and_why() -> None:
    assert choose(170).words == "whole in each of 4 processes (ddp, for which there is room)"
    assert choose(170, "ddp").words == "whole in each of 4 processes (ddp)"
    assert choose(165).words == (
        "spread over 4 processes (fsdp, as a whole one leaves no room for a row of 10 tokens), "
        "gradients reduced once a step"
    )
    assert choose(150, "fsdp").words == (
        "spread over 4 processes (fsdp), gradients reduced in every micro-batch, to save memory"
    )
