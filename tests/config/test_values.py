"""Single values: secrets stay references, times stay what was typed, other environment variables are read."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, get_args, get_origin

import pytest
from omegaconf import OmegaConf

from passingloop.config.build import hints, is_section, section_classes
from passingloop.config.command_line import configs_of
from passingloop.config.compose import config_folder
from passingloop.config.settings import RunConfig
from passingloop.config.values import GROUPS, REQUIRED_TEXTS, SECRET_NAME, TEXT_SETTINGS
from tests.conftest import Compose, Finished

Command = Callable[..., Finished]


@pytest.mark.parametrize(
    "name",
    [
        "MY_DB_PASSWORD",
        "DB_PASS",
        "SSH_PASSPHRASE",
        "WANDB_API_KEY",
        "HF_TOKEN",
        "MYSQL_PWD",
        "client_secret",
        "AWS_CREDENTIALS",
    ],
)
def test_a_secret_stays_a_reference(
    main_here: Command, compose: Compose, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(name, "hunter2")
    words = ["data=files", "data.train=x.csv"]
    words += ["data.text=a-${oc.env:" + name + "}", "data.label='${oc.env:" + name + ",x}'"]
    shown = main_here("--cfg", "job", "--resolve", *words)
    assert shown.code == 0
    assert "hunter2" not in shown.stdout + shown.stderr
    assert f"text: a-${{oc.env:{name}}}" in shown.stdout
    config = compose(*words)
    assert config.data.text == f"a-${{oc.env:{name}}}"
    assert config.data.label == f"${{oc.env:{name}}}"


@pytest.mark.parametrize("name", ["HOME", "PWD", "OLDPWD", "PASSINGLOOP_CACHE", "SCRATCH", "SLURM_JOB_ID"])
def test_what_is_no_secret_is_resolved(name: str) -> None:
    assert not SECRET_NAME.search(name)


def test_environment_variables_are_read_as_what_the_setting_is(
    compose: Compose, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"SEED": "7", "LR": "1e-4", "FLAG": "true", "EVERY": "epoch"}.items():
        monkeypatch.setenv(name, value)
    words = ("trainer.seed=${oc.env:SEED}", "optim.lr=${oc.env:LR}", "rerun=${oc.env:FLAG}")
    config = compose(*words, "trainer.eval_every=${oc.env:EVERY}", "trainer.log_every=${oc.env:NOT_SET,3}")
    assert (config.trainer.seed, config.optim.lr, config.rerun) == (7, 1e-4, True)
    assert (config.trainer.eval_every, config.trainer.log_every) == ("epoch", 3)


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


TYPED = [
    "2024_11_29",
    "1e3",
    "007",
    "0750",
    "1.50",
    "-0",
    "+5",
    ".5",
    "5.",
    "1_0.0",
    "nan",
    "-inf",
    "True",
    "false",
    "12",
]
"""Texts that Hydra or YAML 1.1, or both, read as numbers or truth values, most of them then written otherwise."""

FILES = ("data=files", "data.train=a.csv")


def test_all_text_settings_are_known() -> None:
    texts, others = set(), set()
    for name, hint in _settings(RunConfig):
        parts = {str(part) for part in _parts(hint)}
        (texts if parts & {str(str), str(Path)} else others).add(name)
    assert texts - {"extra", "parameters", "space"} == TEXT_SETTINGS
    hints_of = [(name, set(_parts(hint))) for name, hint in _settings(RunConfig) if get_origin(hint) is not tuple]
    assert {
        name for name, parts in hints_of if str in parts and type(None) not in parts
    } & TEXT_SETTINGS == REQUIRED_TEXTS
    assert not TEXT_SETTINGS & others


def test_all_groups_are_known() -> None:
    assert {path.name for path in config_folder().iterdir() if path.is_dir()} == GROUPS


def _settings(cls: type) -> Iterator[tuple[str, Any]]:
    for name, hint in hints(cls).items():
        if is_section(hint):
            for section in section_classes(hint):
                yield from _settings(section)
        elif not (get_origin(hint) is Mapping and is_section(get_args(hint)[1])):
            yield name, hint


def _parts(hint: Any) -> Iterator[Any]:
    inner = get_args(hint)[1:] if get_origin(hint) is Mapping else get_args(hint)
    yield from (part for each in inner for part in _parts(each)) if inner else [hint]


def in_threes(texts: list[str]) -> list[tuple[str, ...]]:
    return list(zip(texts[::3], texts[1::3], texts[2::3], strict=True))


@pytest.mark.parametrize("typed", in_threes(TYPED))
def test_a_text_is_what_was_typed_on_the_command_line(work: Path, typed: tuple[str, ...]) -> None:
    a, b, c = typed
    words = [f"data.text={a}", f"tracking.tags=[{a},b, {b},{c}]", f"run_root={b}", f"data.train={c}"]
    [config] = configs_of(["data=files", *words, f"+cluster.extra={{comment:{a}x,qos: a}}", f"model.revision={c}"])
    assert (config.data.text, config.tracking.tags) == (a, (a, "b", b, c))
    assert (config.run_root, config.data.train[0]) == (work / b, str(work / c))
    assert (config.model.revision, config.cluster.extra["comment"]) == (c, f"{a}x")


def test_a_text_of_a_sweep_is_what_was_typed(work: Path) -> None:
    swept = configs_of(["-m", "trainer.seed=1,2", *FILES, f"data.text=choice({','.join(TYPED)},b)"])
    assert [config.data.text for config in swept] == [*TYPED, "b"] * 2


@pytest.mark.parametrize("typed", in_threes([*TYPED, "yes", "off", "0x10", "0b1", "1:30", "1e+3"]))
def test_a_text_is_what_was_typed_in_a_yaml_file(work: Path, typed: tuple[str, ...]) -> None:
    a, b, c = typed
    experiment = work / "mine" / "experiment" / "night.yaml"
    experiment.parent.mkdir(parents=True)
    experiment.write_text(
        f"# @package _global_\ndata:\n  text: {a}\n  label: [{a}, {b}, {c}]\ntracking:\n  tags:\n  - {b}\n  - {c}\n"
        f"  entity: {c}\nmodel: {{revision: {b}}}\n"
    )
    [config] = configs_of(["--config-dir", "mine", "experiment=night", "task=regression", *FILES])
    assert (config.data.text, config.data.label) == (a, (a, b, c))
    assert (config.tracking.tags, config.model.revision, config.tracking.entity) == ((b, c), b, c)


@pytest.mark.parametrize("typed", TYPED)
def test_a_text_is_what_was_typed_in_braces_and_as_a_default(work: Path, typed: str) -> None:
    """Braces may stand in braces; the default is that of an environment variable that is not set."""
    sources = f"data.sources={{faq:{{train:[{typed}, 'b,c'],text:{typed}}}, shop: {{ train : {typed} }} }}"
    files = ["data=mix", "+data@data.sources.faq=files", "+data@data.sources.shop=files", sources]
    unset = f"${{oc.env:NOT_SET,{typed}}}"
    defaults = [f"model.revision={unset}", f'tracking.entity="{unset}"', f"tracking.project='a-{unset}'"]
    [config] = configs_of([*files, f"+cluster={{extra:{{comment:{typed}x}}}}", f"tracking.tags=[{unset}]", *defaults])
    faq, shop = config.data.sources["faq"], config.data.sources["shop"]  # type: ignore[union-attr]
    assert (faq.train, faq.text) == ((str(work / typed), str(work / "b,c")), typed)  # type: ignore[attr-defined]
    assert shop.train == (str(work / typed),)  # type: ignore[attr-defined]
    assert config.cluster.extra == {"comment": f"{typed}x"}
    assert (config.model.revision, config.tracking.tags) == (typed, (typed,))
    assert (config.tracking.entity, config.tracking.project) == (typed, f"a-{typed}")


@pytest.mark.parametrize("typed", TYPED)
def test_a_text_is_what_was_typed_as_a_default_in_a_yaml_file(work: Path, typed: str) -> None:
    experiment = work / "mine" / "experiment" / "night.yaml"
    experiment.parent.mkdir(parents=True)
    unset = f"${{oc.env:NOT_SET,{typed}}}"
    experiment.write_text(f"# @package _global_\nmodel:\n  revision: {unset}\ntracking:\n  project: 'a-{unset}'\n")
    [config] = configs_of(["--config-dir", "mine", "experiment=night"])
    assert (config.model.revision, config.tracking.project) == (typed, f"a-{typed}")


def test_null_is_no_value_where_there_may_be_none_and_text_elsewhere(work: Path, main_here: Command) -> None:
    [config] = configs_of(["name=null", "model.revision=null", "tracking={project: Null, entity: null}"])
    assert (config.name, config.model.revision, config.tracking.project) == ("null", None, "Null")
    assert config.tracking.entity is None
    [config] = configs_of(["name=${oc.env:NOT_SET,null}", "model.revision=${oc.env:NOT_SET,null}"])
    assert (config.name, config.model.revision) == ("null", None)
    experiment = work / "mine" / "experiment" / "night.yaml"
    experiment.parent.mkdir(parents=True)
    experiment.write_text("# @package _global_\nname: null\nmodel:\n  revision: null\n")
    [config] = configs_of(["--config-dir", "mine", "experiment=night"])
    assert (config.name, config.model.revision) == ("null", None)
    experiment.write_text("# @package _global_\nname:\n")
    empty = main_here("--config-dir", "mine", "experiment=night")
    assert empty.code == 2
    assert "You set name=null, but name must be text. Give it one, or leave it out for its default." in empty.stderr


def test_so_are_names(work: Path) -> None:
    names = ["2024_11_29", "1e3", "007", "1.50", "True"]
    assert [config.name for config in configs_of(["-m", f"name={','.join(names)}"])] == names
    assert [configs_of([f"name={name}"])[0].name for name in names] == names


def test_what_is_no_text_is_read_as_ever(work: Path) -> None:
    words = ["trainer.steps=1_000", "optim.lr=1e-3", "rerun=TRUE", "+cluster.extra={requeue:True,nice:5,begin:1e3}"]
    sql = ["data=sql", "data.dsn=d", "data.train=t", "+data.parameters.name=1e3", "+data.parameters.b='1e3'"]
    [config] = configs_of([*words, *sql])
    assert (config.trainer.steps, config.optim.lr, config.rerun) == (1000, 1e-3, True)
    assert config.cluster.extra == {"requeue": True, "nice": 5, "begin": "1e3"}
    assert config.data.parameters == {"name": 1000.0, "b": "1e3"}  # type: ignore[attr-defined]
    swept = configs_of(["-m", "trainer.seed=range(1,3)", "name=range(1,3)", "tracking.entity=null"])
    assert [config.name for config in swept] == ["1", "2"] * 2


def test_the_key_of_a_section_is_what_was_typed_in_a_yaml_file(work: Path) -> None:
    group = work / "mine" / "data" / "1e3.yaml"
    group.parent.mkdir(parents=True)
    group.write_text(
        "defaults:\n- sql\n- _self_\ndsn: 1e3\ntrain: t\nparameters: {name: 1.50, 2024_11: 1_0, text: '1e3', on: yes}\n"
    )
    [config] = configs_of(["--config-dir", "mine", "data=1e3"])
    assert config.data.dsn == "1e3"  # type: ignore[attr-defined]
    parameters = {"name": 1.5, "2024_11": 10, "text": "1e3", "on": True}
    assert config.data.parameters == parameters  # type: ignore[attr-defined]
