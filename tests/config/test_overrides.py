"""Overrides of a run's settings give what the same words give on the command line, upon what is there."""

from __future__ import annotations

from pathlib import Path

import pytest

from passingloop.config.overrides import overridden
from passingloop.errors import ConfigError
from tests.conftest import Compose


def test_a_single_setting_changes_and_nothing_else(compose: Compose, work: Path) -> None:
    config = compose("name=a", "data.limit=64", "optim.lr=3e-4")
    changed = overridden(config, ["data.limit=null", "name=1e3"], work)
    assert changed == compose("name=1e3", "optim.lr=3e-4")


def test_nothing_changes_without_words(compose: Compose, work: Path) -> None:
    (work / "a.csv").write_text("text,label\nx,y\n")
    config = compose(
        "data=files", "data.train=a.csv", "optim=adafactor", "+cluster.extra.constraint=a100", "run_root=r"
    )
    assert overridden(config, [], work / "elsewhere") == config


def test_a_group_is_chosen_anew_and_its_settings_after_it(compose: Compose, work: Path) -> None:
    config = compose("adapter=lora", "adapter.rank=3", "resources.mem=3G")
    changed = overridden(config, ["adapter.rank=5", "adapter=lora", "resources=gpu1"], work)
    assert changed == compose("adapter=lora", "adapter.rank=5", "resources=gpu1")


def test_a_length_takes_the_place_of_the_other_one(compose: Compose, work: Path) -> None:
    changed = overridden(compose("trainer.epochs=2"), ["trainer.steps=7", "trainer.batch_tokens=512"], work)
    assert changed.trainer == compose("trainer.steps=7", "trainer.batch_tokens=512").trainer


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("optim.lrr=1", "There is no setting optim.lrr. Did you mean optim.lr?"),
        ("optim.lr=abc", "optim.lr must be a number"),
        ("optim.lr=1,2", "Give each setting one value"),
        ("experiment=banking77", "Set single settings"),
        ("adapter=lorra", "lora"),
        ("optim.lr", "optim.lr"),
        ("data.train=", "data.train"),
    ],
)
def test_a_mistake_is_a_sentence(compose: Compose, work: Path, word: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        overridden(compose(), [word], work)
    assert message in str(caught.value)


def test_a_password_is_refused(compose: Compose, work: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        overridden(compose(), ["data.dsn=Driver=x;PWD=hunter2"], work)
    assert "hunter2" not in str(caught.value)
