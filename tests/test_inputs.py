"""A complete run is done only for the data and the model that it has learned from."""

from __future__ import annotations

import importlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from passingloop import files
from passingloop.attempts.foreground import run_here
from passingloop.config.settings import RunConfig
from passingloop.data.source import open_source
from passingloop.model.fingerprint import PACKAGED, folder_fingerprint
from passingloop.rundir import record
from passingloop.rundir.choice import choose_run
from passingloop.rundir.directory import RunDir
from tests.conftest import Compose, Finished
from tests.data.made import csv
from tests.train.tiny import make_model, make_tokenizer

Change = Callable[[Path], Any]


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    make_tokenizer().save_pretrained(folder)
    make_model("bert").save_pretrained(folder)
    return folder


@pytest.fixture
def config(compose: Compose, work: Path, model: Path) -> RunConfig:
    shutil.copytree(model, work / "model")
    (work / "data").mkdir()
    (work / "data" / "a.csv").write_text(csv(("one", "a"), ("two", "b")))
    return compose("data=files", "data.train=data/*.csv", f"model.path={work / 'model'}", "cache_root=cache")


def completed(config: RunConfig, *, by: str = "this version") -> RunDir:
    """The directory of a run of `config` as its end leaves it."""
    run = choose_run(config)
    source = open_source(config.data, config.task, config.cache_root)  # type: ignore[arg-type]
    folder = Path(config.model.path)
    model = folder_fingerprint(folder, config.cache_root, code=False) if folder.is_dir() else None
    record.create(run, config, {})
    record.pin_values(run, record.PinnedValues("fp32", {"train": source.identity("train")}, model))
    if by == "an earlier version":
        content = files.read_json(run.record)
        del content["model_fingerprint"]
        files.write_json(run.record, content)
    files.write_json(run.result, {"metrics": {}})
    return run


def ask_again(config: RunConfig, capfd: pytest.CaptureFixture[str]) -> tuple[int, str]:
    """The exit code and the words of the same command, given once more."""
    code = run_here([config], lambda _: None)
    return code, capfd.readouterr().err


CHANGES: list[tuple[Change, str]] = [
    (lambda work: (work / "data" / "a.csv").write_text("text,label\nx,a\n"), "a.csv (train) has other content"),
    (lambda work: (work / "data" / "b.csv").write_text("text,label\nx,a\n"), "b.csv (train) is new"),
    (lambda work: (work / "data" / "a.csv").rename(work / "data" / "c.csv"), "a.csv (train) is gone"),
    (lambda work: make_model("bert", hidden_act="relu").save_pretrained(work / "model"), "config.json (configuration)"),
    (
        lambda work: (work / "model" / "chat_template.jinja").write_text("{{ 1 }}"),
        "chat_template.jinja (chat template)",
    ),
    (lambda work: (work / "model" / "tokenizer.json").write_text("{}"), "tokenizer.json (tokenizer) has other content"),
]


@pytest.mark.parametrize(("change", "words"), CHANGES, ids=[words for _, words in CHANGES])
def test_what_has_changed_is_said(
    config: RunConfig, work: Path, capfd: pytest.CaptureFixture[str], change: Change, words: str
) -> None:
    completed(config)
    assert ask_again(config, capfd) == (
        0,
        "Done already, with no metrics. rerun=true trains it again, beside this one.\n",
    )
    change(work)
    code, said = ask_again(config, capfd)
    assert code == 1
    assert words in said
    assert "error: This run is complete, and its " in said
    assert "Set rerun=true or another name to train with the new." in said
    assert "continue" not in said
    assert "Done already" not in said


GONE: list[tuple[str, str]] = [
    ("model", "Notice: the folder of this run's model, {}/model, is no longer there."),
    ("data", "Notice: the data of this run could not be compared with what it has learned from. You set data.train="),
]


@pytest.mark.parametrize(("folder", "words"), GONE, ids=["model", "data"])
def test_what_is_gone_is_said_and_the_run_is_done(
    config: RunConfig, work: Path, capfd: pytest.CaptureFixture[str], folder: str, words: str
) -> None:
    completed(config)
    shutil.rmtree(work / folder)
    code, said = ask_again(config, capfd)
    assert code == 0
    assert words.format(work) in said
    assert "Done already" in said


@pytest.mark.parametrize("path", ["model", "./model", "{}/model"], ids=["like an id", "relative", "absolute"])
@pytest.mark.parametrize("sweep", [(), ("-m",)], ids=["one", "sweep"])
def test_the_same_command_finds_its_run_when_model_and_data_are_gone(
    main_here: Callable[..., Finished], compose: Compose, config: RunConfig, work: Path, path: str, sweep: tuple[str]
) -> None:
    words = ("data=files", "data.train=data/*.csv", f"model.path={path.format(work)}", "cache_root=cache")
    run = completed(compose(*words))
    shutil.rmtree(work / "model")
    shutil.rmtree(work / "data")
    done = main_here(*sweep, *words, "resources.gpus=0")
    assert done.code == 0
    assert done.stdout == f"{run.path}\n"
    assert f"the folder of this run's model, {work}/model, is no longer there" in done.stderr
    assert "Done already" in done.stderr
    assert main_here(*words, "rerun=true").code == 2, "what is to be trained needs both"


def test_a_packaged_model_that_has_changed_or_is_gone(
    compose: Compose, work: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """The package is one of the test's own, in the place of the one that has the hub id."""
    monkeypatch.setitem(PACKAGED, "tiny/bert", "packaged_bert")
    monkeypatch.syspath_prepend(work)
    (work / "packaged_bert" / "model").mkdir(parents=True)
    (work / "packaged_bert" / "__init__.py").touch()
    (work / "packaged_bert" / "model" / "config.json").write_text("{}")
    (work / "a.csv").write_text(csv(("one", "a"), ("two", "b")))
    config = compose("data=files", "data.train=a.csv", "model.path=tiny/bert", "cache_root=cache")
    run = completed(config)
    packaged = folder_fingerprint(work / "packaged_bert" / "model", config.cache_root, code=False)
    files.write_json(run.record, files.read_json(run.record) | {"model_fingerprint": packaged})
    assert ask_again(config, capfd) == (
        0,
        "Done already, with no metrics. rerun=true trains it again, beside this one.\n",
    )
    (work / "packaged_bert" / "model" / "config.json").write_text('{"hidden_act": "relu"}')
    code, said = ask_again(config, capfd)
    assert code == 1
    assert "config.json (configuration) has other content" in said
    shutil.rmtree(work / "packaged_bert")
    importlib.invalidate_caches()
    code, said = ask_again(config, capfd)
    assert code == 0
    assert "Notice: the installed package of this run's model, tiny/bert, is no longer there." in said


def test_of_a_run_of_an_earlier_version_the_data_are_known(
    config: RunConfig, work: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    completed(config, by="an earlier version")
    (work / "model" / "tokenizer.json").write_text("{}")
    assert ask_again(config, capfd)[0] == 0
    (work / "data" / "a.csv").write_text("text,label\nx,a\n")
    assert ask_again(config, capfd)[0] == 1


def test_a_moved_branch_of_the_hub_is_said(
    compose: Compose, work: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    commits = ["01234567" * 5, "89abcdef" * 5]
    repository = work / "hub" / "models--tiny--bert"
    (repository / "refs").mkdir(parents=True)
    for commit in commits:
        (repository / "snapshots" / commit).mkdir(parents=True)
        (repository / "snapshots" / commit / "config.json").write_text(json.dumps({}))
        (repository / "refs" / "main").write_text(commit)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(work / "hub"))
    config = compose("model.path=tiny/bert")
    run = completed(config)
    pinned = {"commit": {"tiny/bert": commits[0]}}
    files.write_json(run.record, files.read_json(run.record) | {"model_fingerprint": pinned})
    code, said = ask_again(config, capfd)
    assert code == 0
    assert (
        f"main of tiny/bert has moved to commit {commits[1]} since this run began. The run keeps {commits[0]}" in said
    )
