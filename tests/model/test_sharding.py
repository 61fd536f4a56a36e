"""Which parts of a model are sharded one by one, and how often they are gathered."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import distributed, nn
from torch.distributed.fsdp._fully_shard._fsdp_param_group import FSDPParamGroup

from passingloop.model.adapters.adapters import add_adapter
from passingloop.model.chunked_loss import find_vocabulary_loss
from passingloop.model.sharding import shard_model, shardable_blocks
from tests.train.tiny import VOCABULARY, lora, make_model


def test_blocks_are_the_layers() -> None:
    for kind, name in {"llama": "LlamaDecoderLayer", "bert": "BertLayer", "mamba": "MambaBlock"}.items():
        model = make_model(kind)
        assert [type(block).__name__ for block in shardable_blocks(model)] == [name] * 2
    adapted = add_adapter(make_model("bert", "classification"), lora(), 1, new=[], classifies=True)
    assert [type(block).__name__ for block in shardable_blocks(adapted)] == ["BertLayer"] * 2


def test_lists_of_layers_without_parts_and_layers_that_share_are_no_blocks() -> None:
    def block() -> nn.Module:
        return nn.Sequential(nn.Linear(2, 2), nn.ModuleList([nn.Sequential(nn.Linear(2, 2)) for _ in range(3)]))

    piles = nn.ModuleDict({"blocks": nn.ModuleList([block(), block(), block()])})
    piles["heads"] = nn.ModuleList([nn.Linear(2, 2), nn.Linear(2, 2)])
    first, second, third = piles["blocks"]
    assert shardable_blocks(piles) == [first, second, third]
    second[0].weight = first[0].weight
    assert shardable_blocks(piles) == [third]
    piles["heads"][0].weight = third[0].weight
    assert shardable_blocks(piles) == []
    assert shardable_blocks(nn.ModuleList([first, first])) == []


@pytest.fixture
def group(tmp_path: Path) -> Iterator[None]:
    distributed.init_process_group("gloo", init_method=f"file://{tmp_path / 'meeting'}", rank=0, world_size=1)
    yield
    distributed.destroy_process_group()


def test_the_head_is_gathered_once_for_all_chunks(group: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Counted where FSDP gathers a group of weights, in one process as in many."""
    gathered: list[Any] = []
    gather = FSDPParamGroup.unshard

    def counting(self: FSDPParamGroup, async_op: bool = False) -> None:
        gathered.append(self)
        gather(self, async_op)

    monkeypatch.setattr(FSDPParamGroup, "unshard", counting)
    ids, counted = torch.arange(1, 33)[None], torch.arange(31)
    found = {}
    for chunk in (64, 3):
        model = make_model("llama")
        loss = find_vocabulary_loss(model, VOCABULARY, chunk)
        assert loss is not None
        shard_model(model, torch.device("cpu"), 1)
        gathered.clear()
        total = loss.sum({"input_ids": ids}, ids.roll(-1, 1), counted)
        total.backward()
        found[chunk] = len(gathered), float(total.detach())
    assert found[3][0] == found[64][0] > 0
    assert found[3][1] == pytest.approx(found[64][1], rel=1e-6)
