"""Which parts of a model are sharded one by one."""

from __future__ import annotations

from torch import nn

from passingloop.model.adapters import add_adapter
from passingloop.model.sharding import shardable_blocks
from tests.train.tiny import lora, make_model


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
