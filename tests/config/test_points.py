"""The points of a sweep, composed together, are what Hydra composes one by one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import hydra
import pytest
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.config_loader import ConfigLoader
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from hydra.types import RunMode
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from omegaconf import DictConfig

from passingloop.config.compose import config_folder
from passingloop.config.points import points
from tests.config.plain import plain, without_hydra

SWEEPS = [
    "trainer.seed=1,2 optim.lr=1e-3,1e-4",
    "trainer.seed=range(3) name=x adapter=lora,none",
    "experiment=banking77 optim.lr=1,2 data=files,stdlib_docs model.dropout=0.5",
    "data=stdlib_docs,files data.limit=3",
    "optim={lr:1},{lr:2} optim.eps=1",
    "optim.lr=1,2 optim={lr:5}",
    "optim={lr:5} optim.lr=1,2",
    "optim=adamw,{lr:5} optim.eps=2",
    "+cluster.extra.constraint=a100,h100 ++cluster.extra.begin=now",
    "~optim.lr trainer.seed=1,2",
    "~experiment trainer.seed=1,2",
    "name='a,b','c' data=files data.train=x data.text=choice(x,y) trainer.steps=sort(3,1,2)",
    "name=${task}-${trainer.seed} task=classification,causal_lm trainer.seed=1,2",
    "+optim@second=adamw trainer.seed=1,2",
    "optim=glob(*) tracking=glob([a*,n*]) trainer.seed=7",
    "resources.time=4:00:00,1-00 data=files data.train=[a,b],[c]",
    "trainer.seed=3",
]

SWEEPS_WITH_MISTAKES = [
    "optim.lrr=1,2",
    "optim=adamw,sgd",
    "trainer.seed=interval(1,2)",
    "+optim.lr=1,2",
    "++optim=adamw",
]


@pytest.fixture
def loader() -> Iterator[ConfigLoader]:
    with hydra.initialize_config_dir(str(config_folder()), version_base="1.3"):
        yield GlobalHydra.instance().config_loader()


def both_ways(loader: ConfigLoader, words: list[str]) -> tuple[list[Any], list[Any]]:
    """The points of a sweep as we compose them and as Hydra does, in the same order."""
    master = loader.load_configuration("main", words, RunMode.MULTIRUN)
    overrides = OverridesParser.create(config_loader=loader).parse_overrides(words)
    [found] = BasicSweeper.split_arguments(overrides, max_batch_size=None)
    hydras = [without_hydra(loader.load_sweep_config(master, list(point))) for point in found]
    return [plain(point) for point in points(loader, master, words)], hydras


@pytest.mark.process
@pytest.mark.parametrize("line", SWEEPS)
def test_the_points_of_a_sweep_are_what_hydra_composes(loader: ConfigLoader, line: str) -> None:
    ours, hydras = both_ways(loader, line.split(" "))
    assert ours
    assert ours == hydras


@pytest.mark.parametrize("line", SWEEPS_WITH_MISTAKES)
def test_a_mistake_in_a_sweep_is_the_error_that_hydra_raises(loader: ConfigLoader, line: str) -> None:
    words = line.split(" ")
    master = loader.load_configuration("main", [], RunMode.MULTIRUN)
    with pytest.raises(HydraException) as ours:
        list(points(loader, master, words))
    overrides = OverridesParser.create(config_loader=loader).parse_overrides(words)
    with pytest.raises(HydraException) as hydras:
        for point in BasicSweeper.split_arguments(overrides, max_batch_size=None)[0]:
            loader.load_sweep_config(master, list(point))
    assert str(ours.value) == str(hydras.value)


KEYS = {
    "trainer.seed": ["1", "2", "3"],
    "optim.lr": ["1", "1e-3", "${optim.eps}"],
    "optim": ["adamw", "{lr:3}"],
    "adapter": ["none", "lora"],
    "experiment": ["banking77", "[banking77]"],
    "trainer.steps": ["3", "null"],
    "+cluster.extra.x": ["1", "[1]"],
}


@pytest.mark.process
@given(data=st.data())
@hypothesis_settings(max_examples=5, deadline=None)
def test_generated_sweeps_are_what_hydra_composes(data: st.DataObject) -> None:
    keys = data.draw(st.lists(st.sampled_from(sorted(KEYS)), min_size=1, max_size=3, unique=True))
    words = [f"{key}={','.join(data.draw(st.permutations(KEYS[key]))[:2])}" for key in keys]
    with hydra.initialize_config_dir(str(config_folder()), version_base="1.3"):
        ours, hydras = both_ways(GlobalHydra.instance().config_loader(), words)
    assert ours == hydras


def test_points_that_differ_in_values_share_one_composition(
    loader: ConfigLoader, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ["adapter=none,lora", "trainer.seed=range(50)", "optim={lr:1}"]
    master = loader.load_configuration("main", words, RunMode.MULTIRUN)
    composed: list[list[str]] = []
    compose_one = loader.load_sweep_config

    def counting(master: DictConfig, choices: list[str]) -> DictConfig:
        composed.append(choices)
        return compose_one(master, choices)

    monkeypatch.setattr(loader, "load_sweep_config", counting)
    found = list(points(loader, master, words))
    assert composed == [["adapter=none"], ["adapter=lora"]]
    assert [(point.adapter.kind, point.trainer.seed, point.optim.lr) for point in found] == [
        (kind, seed, 1) for kind in ("none", "lora") for seed in range(50)
    ]
