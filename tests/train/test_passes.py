"""When a model is spread over the processes."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import pytest
import torch
from lightning.fabric import Fabric

from passingloop.train.material import gather
from passingloop.train.passes import DeviceMemory, Devices, LongestRows, share_model
from tests.conftest import Compose
from tests.train.tiny import fine_tuner, layout, make_model, measured, optim, random_ids, write_tokens


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

    def shares(fabric: TwoDevices, memory: DeviceMemory) -> bool:
        devices = Devices(fabric=fabric, memory=memory, measurements=measured(config))  # type: ignore[arg-type]
        return share_model(config, material, module, devices).is_sharded

    def is_sharded(memory: float, too_many: int | None = None) -> bool:
        monkeypatch.setattr(Bytes, "free", int(memory))
        return shares(TwoDevices(), Bytes(too_many=too_many))

    assert not is_sharded(enough)
    assert is_sharded(enough - row / 0.7 / 32)
    assert not is_sharded(2 * enough, too_many=64)
    assert is_sharded(2 * enough, too_many=63)  # memory ran out, and half of that is less than a row
    assert not shares(TwoDevices(world_size=1), Bytes())


@pytest.mark.parametrize(("lengths", "rows"), [([4] * 64, 2), ([16] * 64, 8), ([16] * 4 + [4] * 60, 5)])
def test_a_micro_batch_that_is_set_limits_examples_of_which_packed_rows_have_several(
    compose: Compose, tmp_path: Path, fabric: Fabric, lengths: list[int], rows: int
) -> None:
    tokens = write_tokens(tmp_path / "texts", random_ids(lengths))
    packed = layout(tokens, "causal_lm", row_tokens=16, batch_examples=8)
    module = fine_tuner(make_model("llama"), "causal_lm", optim())
    passes = LongestRows(module, packed, fabric, compose("task=causal_lm", "trainer.batch_size=64"))
    assert passes.width == 16
    assert passes.set_rows == rows
