"""What is composed without Hydra's `main`, or once for many points of a sweep, is what Hydra itself composes."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import hydra
import pytest
from hydra.errors import HydraException
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from omegaconf.errors import OmegaConfBaseException

from passingloop.config import command_line
from passingloop.config import compose as composing
from passingloop.config.compose import compose, config_folder
from passingloop.config.settings import RunConfig
from passingloop.errors import ConfigError
from tests.config.plain import plain, without_hydra

ONE_RUN = [
    "",
    "name=x trainer.seed=3 optim.lr=1e-4",
    "adapter=lora data=files data.train=[a.csv,b.csv]",
    "experiment=banking77",
    "experiment=banking77 optim.lr=1 data=stdlib_docs model.dropout=null",
    "launcher=slurm cluster=dev resources=gpu1 +cluster.extra.constraint=a100 +cluster.extra.x={a:1,b:[2,3]}",
    "optim={lr:1} optim.lr=2",
    "optim.lr=2 optim={lr:1}",
    "optim.lr=1 optim.lr=2",
    "~optim.lr ~tracking ++trainer.foo=1 +bar=${optim.eps}",
    "~optim.lr=0.0003 ++optim.lr=5",
    "name=${task}-${trainer.seed} run_root=${oc.env:HOME}/runs data=files data.train=x data.text=${oc.env:NOT_SET,x}",
    "+optim@second=adamw optim.betas=[0.5,0.6] data=files data.train=x data.text='a,b' data.label=\"ü=~\"",
    "data=files data.train=x data.text=${now:%Y} data.label=${oc.decode:'1'}",
    "optim=[adamw] tracking.tags=[a,1,true,null]",
]

MAIN_KNOWS = [
    *("optim.lrr=1", "optim=sgd", "optim=3", "~nope", "~data.train", "+optim.lr=1", "+optim=adamw", "trainer.seed=(a"),
    *("trainer.seed=1,2", "trainer.seed=range(3)", "optim=adamw,adamw", "optim.lr=???x,y", "++optim=adamw", "=3", ""),
]


def hydras(words: Sequence[str]) -> Any:
    """What `hydra.compose` makes of it; None for a mistake."""
    with hydra.initialize_config_dir(str(config_folder()), version_base="1.3"):
        try:
            return without_hydra(hydra.compose("main", list(words), return_hydra_config=True))
        except (HydraException, OmegaConfBaseException, ValueError):
            return None


def ours(words: Sequence[str]) -> Any:
    composed = compose(words)
    return None if composed is None else plain(composed)


@pytest.mark.parametrize("line", ONE_RUN)
def test_one_run_is_what_hydra_composes(line: str) -> None:
    words = line.split(" ") if line else []
    assert ours(words) is not None
    assert ours(words) == hydras(words)


@pytest.mark.parametrize("line", MAIN_KNOWS)
def test_sweeps_and_mistakes_are_left_to_hydras_main(line: str) -> None:
    assert ours([line]) is None
    assert hydras([line]) is None


WORDS = st.builds(
    "{}{}={}".format,
    st.sampled_from(["", "", "", "+", "++", "~"]),
    st.sampled_from(
        ["optim.lr", "optim", "data", "experiment", "adapter", "cluster.extra.x", "name", "data@x", "nope"]
    ),
    st.sampled_from(
        ["1", "adamw", "files", "lora", "none", "null", "banking77", "{lr: 7}", "[a]", "${task}", "0.0003"]
    ),
)


@pytest.mark.process
@given(words=st.lists(WORDS, max_size=4))
@hypothesis_settings(max_examples=25, deadline=None)
def test_any_words_are_what_hydra_makes_of_them(words: list[str]) -> None:
    assert ours(words) == hydras(words)


@pytest.fixture
def grid(work: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., list[RunConfig]]:
    """What an experiment comes to that sweeps by itself over `params`, with words of a command line."""
    folder = tmp_path / "config"
    shutil.copytree(config_folder(), folder)
    monkeypatch.setattr(composing, "config_folder", lambda: folder)

    def configs(params: dict[str, str], *words: str) -> list[RunConfig]:
        lines = "".join(f"      {key}: {json.dumps(value)}\n" for key, value in params.items())
        text = f"# @package _global_\nhydra:\n  mode: MULTIRUN\n  sweeper:\n    params:\n{lines}"
        (folder / "experiment" / "grid.yaml").write_text(text)
        monkeypatch.setattr(sys, "argv", ["train.py", "experiment=grid", *words])
        return command_line._configs_by_hydra()

    return configs


def test_an_experiment_that_sweeps_is_left_to_hydras_main(grid: Callable[..., list[RunConfig]]) -> None:
    configs = grid({"optim.lr": "1e-3,1e-4"}, "trainer.seed=7")
    assert compose(["experiment=grid", "trainer.seed=7"]) is None
    assert [(config.optim.lr, config.trainer.seed) for config in configs] == [(1e-3, 7), (1e-4, 7)]


def test_distributions_of_an_experiment_are_those_of_a_command_line(grid: Callable[..., list[RunConfig]]) -> None:
    search = ("sweep.search=random", "sweep.points=4")
    of_file = grid({"optim.lr": "log(1e-5, 1e-3)", "trainer.seed": "1,2"}, *search)
    typed = grid({"trainer.seed": "1,2"}, "-m", "optim.lr=log(1e-5,1e-3)", *search)
    assert of_file == typed
    assert len({config.optim.lr for config in of_file}) == 4
    assert of_file[0].sweep.space == {"optim.lr": "log(1e-05,0.001)"}


def test_what_is_typed_goes_before_what_an_experiment_sweeps_over(grid: Callable[..., list[RunConfig]]) -> None:
    params = {"optim.lr": "log(1e-5,1e-3)", "trainer.seed": "1,2"}
    assert [config.optim.lr for config in grid(params, "optim.lr=3e-4")] == [3e-4, 3e-4]
    typed = grid({"optim.lr": "1e-3,1e-4"}, "-m", "optim.lr=log(1e-5,1e-3)", "sweep.search=random", "sweep.points=3")
    assert len({config.optim.lr for config in typed} - {1e-3, 1e-4}) == 3


@pytest.mark.parametrize(
    ("value", "words", "why"),
    [
        ("log(1e-5,1e-3)", (), "sweep.search=grid trains every combination"),
        ("log(1e-5,1e-3)", ("sweep.search=random",), r"Set sweep\.points"),
        ("log(1e-3,1e-5)", ("sweep.search=random", "sweep.points=3"), "has nothing in between"),
        ("1e-3", ("-m", "hydra.sweeper.params.optim.lr=log(1e-5,1e-3)"), "give the setting itself one: optim.lr=log"),
    ],
)
def test_distributions_that_make_no_sweep(
    grid: Callable[..., list[RunConfig]], value: str, words: tuple[str, ...], why: str
) -> None:
    with pytest.raises(ConfigError, match=why):
        grid({"optim.lr": value}, *words)


def test_where_other_packages_extend_hydra_its_main_composes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert compose([]) is not None
    (tmp_path / "hydra_plugins").mkdir()
    (tmp_path / "hydra_plugins" / "other.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    assert compose([]) is None
