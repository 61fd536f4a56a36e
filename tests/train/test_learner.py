"""How much of a step one pass takes, and on what that is tried."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lightning.fabric import Fabric

from passingloop.config.settings import RunConfig
from passingloop.model.device.memory import CPU_TOKENS
from passingloop.train import passes
from passingloop.train.learner import Learner, make_learner
from passingloop.train.material import gather
from passingloop.train.module import Batch, FineTuner
from passingloop.train.passes import DeviceMemory, LongestRows
from tests.model.device.counting import CountedMemory
from tests.train.tiny import ALONE, devices_of

Configure = Callable[..., RunConfig]


@pytest.fixture
def configure(compose: Configure, saved: Callable[..., Path], tmp_path: Path) -> Configure:
    """The settings of a run with a tiny BERT on texts of different lengths."""
    lines = "".join(f"train {'waits ' * (i % 7)},{i % 2}\n" for i in range(40))
    (tmp_path / "train.csv").write_text(f"text,label\n{lines}")
    places = (f"data.train={tmp_path / 'train.csv'}", f"cache_root={tmp_path / 'cache'}")
    model = saved("bert", task="classification")
    return lambda *settings: compose("data=files", *places, f"model.path={model}", "data.max_length=32", *settings)


def learn(config: RunConfig, fabric: Fabric, memory: DeviceMemory | None = None) -> Learner:
    return make_learner(config, gather(config, lambda _: None), devices_of(fabric, config, memory), bf16=False)


def test_a_pass_has_the_tokens_of_the_formula_or_half_of_what_was_too_much(
    configure: Configure, fabric: Fabric
) -> None:
    made = learn(configure(), fabric)
    assert {layout.batch_tokens for layout in made.layouts.values()} == {CPU_TOKENS}
    assert str(made.tuned) == "4,096 tokens at most (by the formula)"
    less = learn(configure(), fabric, DeviceMemory(too_many=100))
    assert {layout.batch_tokens for layout in less.layouts.values()} == {50}


def test_on_a_gpu_it_has_what_was_tried_and_nothing_is_left_of_the_trials(
    configure: Configure, fabric: Fabric, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There is no GPU in this test, but a stand-in for its memory."""
    plain = learn(configure(), fabric)
    memory = CountedMemory(4e6)
    modes, training_step = set[bool](), FineTuner.training_step

    def watched(module: FineTuner, batch: Batch, batch_idx: int = 0) -> torch.Tensor:
        if len(batch["labels"]) > 1:  # the single row finds out which parameters are used
            modes.add(module.model.training)
        return training_step(module, batch, batch_idx)

    monkeypatch.setattr(FineTuner, "training_step", watched)
    monkeypatch.setattr(passes, "gpu_memory", lambda device, share: int(memory.total))
    monkeypatch.setattr(passes, "GpuMeter", lambda device, total: memory)
    tried = learn(configure(), fabric)
    assert tried.tuned.by == "as tried"
    assert {layout.batch_tokens for layout in tried.layouts.values()} == {tried.tuned.tokens}
    for mine, other in zip(tried.module.parameters(), plain.module.parameters(), strict=True):
        assert mine.grad is None
        assert torch.equal(mine, other)
    assert modes == {True}
    assert not tried.module.model.training
    trials = len(memory.peaks)
    assert learn(configure("trainer.steps=9"), fabric).tuned == tried.tuned
    assert len(memory.peaks) == trials, "another run of this model goes by the same figures"


def test_trials_are_on_the_longest_row(configure: Configure, fabric: Fabric, monkeypatch: Any) -> None:
    config = configure("trainer.batch_size=8")
    made = learn(config, fabric)
    layout, seen = made.layouts["train"], list[dict[str, torch.Tensor]]()
    training_step = made.module.training_step
    monkeypatch.setattr(
        made.module, "training_step", lambda batch: [seen.append(batch["inputs"]), training_step(batch)][1]
    )
    passes = LongestRows(made.module, layout, fabric, config)
    assert passes.width == max(layout.tokens.lengths)
    assert passes.step_rows == 8
    passes.run(3)
    passes.run(3, padded=True)
    assert [inputs["input_ids"].shape for inputs in seen] == [(3, passes.width)] * 2
    assert "attention_mask" not in seen[0]
    assert seen[1]["attention_mask"].sum(1).tolist() == [passes.width] * 2 + [min(layout.tokens.lengths)]
    (batch, *_) = layout.step(np.arange(8), ALONE)
    assert batch["inputs"]["input_ids"].shape[1] <= passes.width
