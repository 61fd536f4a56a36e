"""What a model's tokens see of each other decides whether sequences may share a row."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.fabric import Fabric

from passingloop.config.settings import RunConfig
from passingloop.errors import ConfigError
from passingloop.model.attention import isolates_sequences, sees_following_tokens
from passingloop.train.learner import make_learner
from passingloop.train.material import gather
from tests.train.tiny import VOCABULARY, devices_of, make_model

Compose = Callable[..., RunConfig]


@pytest.mark.parametrize(
    ("kind", "apart", "ahead"),
    [
        ("llama", True, False),
        ("gpt2", True, False),
        ("bloom", False, False),  # linear biases instead of positions, and a mask of its own
        ("mamba", False, False),  # recurrent
        ("lfm2", False, False),  # a convolution over the last tokens, next to attention that keeps apart
        ("bert", False, True),
        ("xlnet", False, True),
    ],
)
def test_what_tokens_see(kind: str, apart: bool, ahead: bool) -> None:
    model = make_model(kind).train()
    before = torch.get_rng_state()
    assert isolates_sequences(model, VOCABULARY) is apart
    assert sees_following_tokens(model, VOCABULARY) is ahead
    assert model.training and torch.equal(torch.get_rng_state(), before)


@pytest.fixture
def learner(compose: Compose, fabric: Fabric, tmp_path: Path) -> Callable[[Path], Any]:
    """The learner for a model's folder and a few lines of text."""
    (tmp_path / "train.txt").write_text("\n\n".join(f"train number {i} waits" for i in range(40)))

    def make(model: Path) -> Any:
        config = compose(
            "task=causal_lm",
            "data=files",
            f"data.train={tmp_path / 'train.txt'}",
            f"model.path={model}",
            "data.max_length=16",
            f"cache_root={tmp_path / 'cache'}",
        )
        return make_learner(config, gather(config, lambda _: None), devices_of(fabric, config), bf16=False)

    return make


@pytest.mark.parametrize(("kind", "packed"), [("llama", True), ("bloom", False)])
def test_what_leaks_is_padded(
    kind: str, packed: bool, saved: Callable[..., Path], learner: Callable[[Path], Any]
) -> None:
    for laid_out in learner(saved(kind)).layouts.values():
        assert laid_out.row_tokens == (16 if packed else None)


def test_an_encoder_is_no_causal_model(saved: Callable[..., Path], learner: Callable[[Path], Any]) -> None:
    with pytest.raises(ConfigError, match="is an encoder: it would see the tokens it is to predict"):
        learner(saved("bert"))


def test_parameters_that_the_loss_does_not_reach_are_frozen(
    compose: Compose, fabric: Fabric, saved: Callable[..., Path], tmp_path: Path
) -> None:
    """With one process as with several, for the checkpoints of one to suit the other. XLNet has such parameters: for
    masked words, and for second segments."""
    (tmp_path / "train.csv").write_text("text,label\n" + "".join(f"text {i},{i % 2}\n" for i in range(40)))
    config = compose(
        "data=files",
        f"data.train={tmp_path / 'train.csv'}",
        f"model.path={saved('xlnet', task='classification')}",
        "data.max_length=16",
        f"cache_root={tmp_path / 'cache'}",
    )
    module = make_learner(config, gather(config, lambda _: None), devices_of(fabric, config), bf16=False).module
    frozen = [name for name, parameter in module.named_parameters() if not parameter.requires_grad]
    assert {name.rpartition(".")[2] for name in frozen} == {"mask_emb", "r_s_bias", "seg_embed"}
