"""Single values: secrets stay references, times stay what was typed, other environment variables are read."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from passingloop.config.values import SECRET_NAME
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
