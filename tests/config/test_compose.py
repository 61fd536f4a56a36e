"""What is composed without Hydra's `main`, or once for many points of a sweep, is what Hydra itself composes."""

from __future__ import annotations

import gc
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
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
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from passingloop.config import command_line
from passingloop.config import compose as composing
from passingloop.config.compose import compose, config_folder
from passingloop.config.points import points
from passingloop.data import probe
from tests.conftest import Finished

Command = Callable[..., Finished]

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


def plain(config: DictConfig) -> Any:
    return OmegaConf.to_container(config, resolve=False), OmegaConf.is_struct(config)


def without_hydra(config: DictConfig) -> Any:
    content, struct = plain(config)
    content.pop("hydra")
    return content, struct


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


@given(words=st.lists(WORDS, max_size=4))
@hypothesis_settings(max_examples=25, deadline=None)
def test_any_words_are_what_hydra_makes_of_them(words: list[str]) -> None:
    assert ours(words) == hydras(words)


def test_an_experiment_that_sweeps_is_left_to_hydras_main(
    work: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    folder = tmp_path / "config"
    shutil.copytree(config_folder(), folder)
    (folder / "experiment" / "grid.yaml").write_text(
        "# @package _global_\nhydra:\n  mode: MULTIRUN\n  sweeper:\n    params:\n      optim.lr: 1e-3,1e-4\n"
    )
    monkeypatch.setattr(composing, "config_folder", lambda: folder)
    monkeypatch.setattr(sys, "argv", ["train.py", "experiment=grid", "trainer.seed=7"])
    assert compose(["experiment=grid", "trainer.seed=7"]) is None
    configs = command_line._configs_by_hydra()
    assert [(config.optim.lr, config.trainer.seed) for config in configs] == [(1e-3, 7), (1e-4, 7)]


def test_where_other_packages_extend_hydra_its_main_composes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert compose([]) is not None
    (tmp_path / "hydra_plugins").mkdir()
    (tmp_path / "hydra_plugins" / "other.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    assert compose([]) is None


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


def test_a_sweep_looks_at_the_same_files_once(main_here: Command, work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (work / "good.csv").write_text("text,label\nhello,a\n")
    opened: list[object] = []
    open_source = probe.open_source
    monkeypatch.setattr(probe, "open_source", lambda *asked: opened.append(asked) or open_source(*asked))
    line = "-m data=files data.train=good.csv data.limit=range(1,20) data.max_length=32,64 trainer.seed=1,2"
    assert main_here(*line.split()).code == 3
    assert len(opened) == 1


def test_submitting_the_default_loads_nothing_to_read_data_with(work: Path) -> None:
    program = (
        "import sys\nfrom passingloop.cli import train\n"
        "sys.argv[1:] = ['launcher=slurm']\ntrain._check_data(train.command_line_configs())\n"
        "print([name for name in ('pyarrow', 'numpy', 'torch', 'rich') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=work, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_a_command_leaves_this_process_as_it_was(main_here: Command) -> None:
    before = gc.get_threshold()
    assert main_here("optim.lr=x").code == 2
    assert main_here("optim.lrr=1").code == 2
    assert gc.get_threshold() == before
    assert "HYDRA_FULL_ERROR" not in os.environ


def test_a_time_in_a_yaml_file_is_what_was_typed(main_here: Command, work: Path) -> None:
    experiment = work / "mine" / "experiment" / "night.yaml"
    experiment.parent.mkdir(parents=True)
    experiment.write_text(
        "# @package _global_\nresources:\n  time: 4:00:00\ncluster:\n  extra:\n    begin: 16:00\n"
        "trainer:\n  steps: 1_000\n  seed: 0x10\n"
    )
    words = ("--config-dir", "mine", "experiment=night")
    shown = main_here("--cfg", "job", *words)
    assert shown.code == 0, shown
    read = OmegaConf.create(shown.stdout)
    assert (read.resources.time, read.cluster.extra.begin) == ("4:00:00", "16:00")
    assert (read.trainer.steps, read.trainer.seed) == (1000, 16)
    experiment.write_text("# @package _global_\ntrainer:\n  steps: 1:30\n")
    wrong = main_here(*words)
    assert wrong.code == 2
    assert "You set trainer.steps=1:30, but trainer.steps must be a whole number" in wrong.stderr
