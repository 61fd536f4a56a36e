"""When a model is spread over the processes."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import pytest
import torch
from lightning.fabric import Fabric

from passingloop.train.material import gather
from passingloop.train.passes import DeviceMemory, share_model
from tests.conftest import Compose
from tests.train.tiny import fine_tuner, make_model, optim


class TwoDevices(NamedTuple):
    """A stand-in for the Fabric of two processes with a GPU each."""

    world_size: int = 2
    device: torch.device = torch.device("cpu")


class Bytes(DeviceMemory):
    """A stand-in for the memory of their GPUs."""

    free = 0

    def bytes_of(self, fabric: Fabric) -> int:
        return self.free


def test_a_model_is_sharded_if_a_row_does_not_fit_beside_a_whole_one(
    compose: Compose, llama: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = tmp_path / "texts.csv"
    texts.write_text("text\n" + "a train waits\n" * 40)
    chosen = ("task=causal_lm", f"model.path={llama}", "data=files", f"data.train={texts}", "data.max_length=32")
    config = compose(*chosen, "cache_root=cache")
    material = gather(config, print)
    module = fine_tuner(make_model("llama"), "causal_lm", optim())
    state = 16 * sum(p.numel() for p in module.parameters())
    row = 32 * (2 * 34 * 32 * 2 + 4 * 3 * 320)  # 32 tokens of 2 layers, 32 wide, with logits over 320 tokens
    enough = (state + row) / 0.7 + 1

    def is_sharded(memory: float, too_many: int | None = None) -> bool:
        monkeypatch.setattr(Bytes, "free", int(memory))
        return share_model(config, material, module, TwoDevices(), Bytes(too_many=too_many)).is_sharded  # type: ignore[arg-type]

    assert not is_sharded(enough)
    assert is_sharded(enough - row / 0.7 / 32)
    assert not is_sharded(2 * enough, too_many=64)
    assert is_sharded(2 * enough, too_many=63)  # memory ran out, and half of that is less than a row
    assert not share_model(config, material, module, TwoDevices(world_size=1), Bytes()).is_sharded  # type: ignore[arg-type]
