"""Values become settings of the right type and within their limits, and settings become plain values again."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any, get_type_hints

import hydra
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from omegaconf import OmegaConf

from passingloop.config.build import build, describe, section_classes, to_plain
from passingloop.config.build import choice as choice_of
from passingloop.config.compose import config_folder, settings
from passingloop.config.settings import (
    CheckpointConfig,
    ResourcesConfig,
    RunConfig,
    TrackingConfig,
    TrainerConfig,
)
from passingloop.data.files.settings import FilesData
from passingloop.errors import ConfigError
from passingloop.train.optim.adamw import AdamW
from tests.config.strategies import leaves, values
from tests.conftest import Compose

CHOICES = sorted((path.parent.name, path.stem) for path in config_folder().glob("*/*.yaml"))
SECTIONS = {name: hint for name, hint in get_type_hints(RunConfig).items() if section_classes(hint)}
NEEDED = {
    "files": ["data.train=x.csv"],
    "gcs": ["data.train=gs://b/x.csv"],
    "hub": ["data.train=train", "data.path=a/b"],
    "sql": ["data.train=t", "data.dsn=d"],
    "mix": ["+data@data.sources.a=stdlib_docs", "+data.weights.a=2"],
}
"""What a choice of data cannot do without."""


def with_one(cls: type, key: str, value: Any) -> Any:
    """`cls` with its values from config/, but `key`."""
    group = next(name for name, section in SECTIONS.items() if cls in section_classes(section))
    several = len(section_classes(SECTIONS[group])) > 1
    first = choice_of(cls) if several else next(choice for name, choice in CHOICES if name == group)
    defaults = OmegaConf.to_container(OmegaConf.load(config_folder() / group / f"{first}.yaml"))
    assert isinstance(defaults, dict)
    return getattr(build(cls, {**defaults, key: value}, prefix=f"{group}."), key)


@pytest.mark.parametrize(
    ("cls", "key", "given", "built"),
    [
        (AdamW, "lr", 1, 1.0),
        (AdamW, "lr", "1e-4", 1e-4),
        (AdamW, "betas", [0, 0.5], (0.0, 0.5)),
        (AdamW, "grad_clip", None, None),
        (TrainerConfig, "seed", 3.0, 3),
        (TrainerConfig, "seed", "3", 3),
        (TrainerConfig, "seed", 2**32 - 1, 2**32 - 1),
        (TrainerConfig, "steps", "12", 12),
        (TrainerConfig, "deterministic", "True", True),
        (TrainerConfig, "micro_batch", "auto", "auto"),
        (TrainerConfig, "micro_batch", "4", 4),
        (TrainerConfig, "class_weights", None, "none"),
        (FilesData, "train", "a.csv", ("a.csv",)),
        (FilesData, "train", ["a.csv", "b.csv"], ("a.csv", "b.csv")),
        (FilesData, "train", None, ()),
        (FilesData, "label", 7, "7"),
        (ResourcesConfig, "gpus", 0, 0),
        (TrackingConfig, "mode", None, "none"),
        (TrackingConfig, "tags", "x", ("x",)),
    ],
)
def test_a_value_is_converted_without_loss(cls: type, key: str, given: Any, built: Any) -> None:
    found = with_one(cls, key, given)
    assert (found, type(found)) == (built, type(built))


@pytest.mark.parametrize(
    ("cls", "key", "given", "words"),
    [
        (AdamW, "lr", None, "You set optim.lr=null, but optim.lr must be a number."),
        (AdamW, "lr", True, "You set optim.lr=true, but optim.lr must be a number."),
        (AdamW, "lr", 0, "optim.lr must be more than 0."),
        (AdamW, "lr", float("inf"), "optim.lr must be more than 0."),
        (AdamW, "lr", "nan", "optim.lr must be a number."),
        (AdamW, "weight_decay", float("inf"), "optim.weight_decay must be 0 or more."),
        (AdamW, "warmup", -0.1, "optim.warmup must be 0 or more."),
        (AdamW, "betas", [0.9, 1], "optim.betas must be 0 or more, and less than 1."),
        (AdamW, "betas", [0.9, "x"], "You set optim.betas=x, but optim.betas must be a number."),
        (AdamW, "schedule", "linaer", "one of linear, cosine, constant. Did you mean linear?"),
        (TrainerConfig, "seed", 1.5, "You set trainer.seed=1.5, but trainer.seed must be a whole number."),
        (TrainerConfig, "seed", True, "You set trainer.seed=true, but trainer.seed must be a whole number."),
        (TrainerConfig, "seed", [1], "trainer.seed must be a whole number."),
        (TrainerConfig, "seed", -1, "trainer.seed must be between 0 and 4294967295."),
        (TrainerConfig, "seed", 2**32, "trainer.seed must be between 0 and 4294967295."),
        (TrainerConfig, "steps", 0, "trainer.steps must be 1 or more."),
        (TrainerConfig, "deterministic", 1, "trainer.deterministic must be true or false."),
        (TrainerConfig, "deterministic", "yes", "trainer.deterministic must be true or false."),
        (TrainerConfig, "eval_every", "epochs", "a whole number, or epoch. Did you mean epoch?"),
        (TrainerConfig, "eval_every", 0, "trainer.eval_every must be 1 or more."),
        (TrainerConfig, "precision", "fp16", "must be one of auto, fp32, bf16. Did you mean bf16?"),
        (TrainerConfig, "precision", ["bf16"], "must be one of auto, fp32, bf16."),
        (CheckpointConfig, "keep", 1, "checkpoint.keep must be 2 or more."),
        (CheckpointConfig, "every_minutes", float("inf"), "checkpoint.every_minutes must be more than 0."),
        (FilesData, "train", [None], "You set data.train=null, but data.train must be text."),
        (FilesData, "train", {"a": 1}, "but data.train must be text."),
        (FilesData, "text", 1.5, "data.text must be text. In quotes it is text: 'data.text=\"1.5\"'."),
        (FilesData, "validation_fraction", 0.95, "data.validation_fraction must be between 0 and 0.9."),
        (FilesData, "max_length", 1, "data.max_length must be 2 or more."),
        (ResourcesConfig, "gpus", -1, "resources.gpus must be 0 or more, or a range such as 1-8"),
        (ResourcesConfig, "gpus", "8-1", "two numbers from 1 on, the smaller one first."),
        (ResourcesConfig, "gpus", "0-4", "two numbers from 1 on, the smaller one first."),
        (ResourcesConfig, "nodes", "0-4", "resources.nodes must be 1 or more, or a range such as 1-8"),
        (ResourcesConfig, "gpus", "1-", "resources.gpus must be a whole number, or auto, or a range such as 1-8."),
        (ResourcesConfig, "gpus", "1-2-3", "or a range such as 1-8."),
        (ResourcesConfig, "gpus", "two", "resources.gpus must be a whole number, or auto, or a range such as 1-8."),
        (
            ResourcesConfig,
            "spare",
            1,
            "There is no setting resources.spare. resources has: nodes, gpus, gpu_type, shards, tasks, cpus, mem,",
        ),
    ],
)
def test_a_wrong_value_is_refused_by_name(cls: type, key: str, given: Any, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        with_one(cls, key, given)
    assert words in str(caught.value)
    assert key in str(caught.value)


def test_sections_and_missing_keys_are_named() -> None:
    with pytest.raises(ConfigError, match=r"name is missing\. Give it a value: 1 to 64 letters"):
        build(RunConfig, {})
    with pytest.raises(ConfigError, match=r"You set optim=3, but optim is a section\. Set one of its keys, such as "):
        build(RunConfig, {**dict.fromkeys(SECTIONS, 3), **_top_level()})


def _top_level() -> dict[str, Any]:
    rest = {"rerun": False, "dry_run": False, "task": "classification", "run_mode": "0700"}
    sections = {name: _first(name) for name in SECTIONS if name != "optim"}
    return {"name": "x", "run_root": "runs", "cache_root": "cache", **rest, **sections}


def _first(group: str) -> Any:
    choice = next(choice for name, choice in CHOICES if name == group)
    return OmegaConf.to_container(OmegaConf.load(config_folder() / group / f"{choice}.yaml"))


CLASSES = [cls for hint in SECTIONS.values() for cls in section_classes(hint)]


@pytest.mark.parametrize("section", CLASSES)
def test_plain_values_build_the_same_settings(section: type) -> None:
    @given(values(section))
    @hypothesis_settings(max_examples=50, deadline=None)
    def check(made: Any) -> None:
        plain = to_plain(made)
        assert build(section, json.loads(json.dumps(plain, allow_nan=False))) == made

    check()


def test_the_settings_of_a_run_survive_json(compose: Compose) -> None:
    config = compose("data=files", "data.train=[a.csv,'b *.csv']", "adapter=lora", "run_root=/x/ü")
    assert build(RunConfig, json.loads(json.dumps(to_plain(config)))) == config


@pytest.mark.parametrize(("group", "choice"), CHOICES, ids=str)
def test_every_choice_composes(group: str, choice: str, work: Path) -> None:
    with hydra.initialize_config_dir(str(config_folder()), version_base="1.3"):
        composed = hydra.compose("config", [f"{group}={choice}"])
        missing = [f"data.{name}=x" for name in composed.data if OmegaConf.is_missing(composed.data, name)]
        needed = NEEDED.get(composed.data.source, missing)
        if needed:
            composed = hydra.compose("config", [f"{group}={choice}", *needed])
    built = settings(composed, work)
    if group in SECTIONS:
        fields = {spec.name for spec in dataclasses.fields(getattr(built, group))}
        assert set(OmegaConf.load(config_folder() / group / f"{choice}.yaml")) == fields, "keys and fields differ"


def test_every_setting_has_a_default_and_every_default_a_setting() -> None:
    top = OmegaConf.load(config_folder() / "config.yaml")
    chosen = {str(name) for entry in top.pop("defaults") if not isinstance(entry, str) for name in entry}
    groups = {name for name in chosen if not name.startswith("override ")}
    assert groups - {"experiment"} == set(SECTIONS)
    assert {group for group, _ in CHOICES} == groups
    assert set(top) == set(get_type_hints(RunConfig)) - set(SECTIONS)


def test_every_setting_has_a_description() -> None:
    for name, hint, _ in leaves(RunConfig):
        assert describe(hint), name


@pytest.mark.parametrize(
    ("overrides", "section", "expected"),
    [
        ((), "trainer", {"epochs": 5.0, "steps": None, "batch_size": 32, "batch_tokens": None}),
        (("trainer.steps=7",), "trainer", {"epochs": None, "steps": 7}),
        (("trainer.batch_tokens=512",), "trainer", {"batch_size": None, "batch_tokens": 512}),
        (("data=files", "data.train=~/x.csv"), "data", {"train": (str(Path.home() / "x.csv"),)}),
        (("data=files", "data.train=[/a/b.csv]"), "data", {"train": ("/a/b.csv",)}),
        (("model.path=org/name",), "model", {"path": "org/name"}),
    ],
)
def test_what_depends_on_other_settings_is_filled_in(
    compose: Compose, overrides: tuple[str, ...], section: str, expected: dict[str, Any]
) -> None:
    found = getattr(compose(*overrides), section)
    assert {key: getattr(found, key) for key in expected} == expected
