"""A sharded head is gathered once, however many chunks its loss has."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import distributed
from torch.distributed.tensor.debug import CommDebugMode

from passingloop.model.chunked_loss import VocabularyLoss, find_vocabulary_loss
from passingloop.model.sharding import shard_model
from tests.train.tiny import VOCABULARY, make_model


@pytest.fixture
def group(tmp_path: Path) -> Iterator[None]:
    distributed.init_process_group("gloo", init_method=f"file://{tmp_path / 'meeting'}", rank=0, world_size=1)
    yield
    distributed.destroy_process_group()


@pytest.mark.filterwarnings("ignore:For backward hooks to be called:UserWarning")  # of the counter
def test_the_head_is_gathered_once(group: None) -> None:
    """One process gathers as many do: the calls are counted."""
    ids, counted = torch.arange(1, 33)[None], torch.arange(31)
    found = {}
    for chunk in (64, 3):
        model = make_model("llama")
        loss = find_vocabulary_loss(model, VOCABULARY, chunk)
        assert isinstance(loss, VocabularyLoss)
        shard_model(model, torch.device("cpu"), 1)
        with CommDebugMode() as calls:
            total = loss.sum({"input_ids": ids}, ids.roll(-1, 1), counted)
            total.backward()
        found[chunk] = (calls.get_total_counts(), float(total.detach()))
    assert found[3][0] == found[64][0] > 0
    assert found[3][1] == pytest.approx(found[64][1], rel=1e-6)
