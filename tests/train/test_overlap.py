"""What is made ahead of its use."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from passingloop.train.overlap import ahead, pinned
from tests.train.tiny import layout, random_ids, write_tokens


def test_each_is_made_while_its_predecessor_is_used() -> None:
    is_made = [threading.Event() for _ in range(3)]

    def make() -> Iterator[int]:
        for number, event in enumerate(is_made):
            event.set()
            yield number

    used = []
    for number in ahead(make()):
        if number < 2:
            assert is_made[number + 1].wait(20)
        used.append(number)
    assert used == [0, 1, 2]
    assert list(ahead(iter([]))) == []


def test_no_more_than_one_is_made_ahead() -> None:
    made: list[int] = []

    def make() -> Iterator[int]:
        for number in range(4):
            made.append(number)
            yield number

    for number in ahead(make()):
        assert len(made) <= number + 2


def test_an_error_comes_to_who_uses_them() -> None:
    def make() -> Iterator[int]:
        yield 0
        raise ValueError("broken")

    made = ahead(make())
    assert next(made) == 0
    with pytest.raises(ValueError, match="broken"):
        next(made)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_all_of_a_batch_is_page_locked_for_a_gpu(tmp_path: Path) -> None:
    batch = layout(write_tokens(tmp_path, random_ids([2, 3]), labels=[0, 1]), "classification").batch([[0], [1]], 1.0)
    locked = pinned(batch, torch.device("cuda"))
    tensors = [*locked["inputs"].values(), locked["labels"], locked["examples"]]
    assert all(tensor.is_pinned() for tensor in tensors)
    assert pinned(batch, torch.device("cpu")) is batch
