"""What a run is, as its directory says: the record, what its first attempt settles, modes, and which folder it has."""

from __future__ import annotations

from pathlib import Path

import pytest

from passingloop import files
from passingloop.config.build import to_plain
from passingloop.config.data import Fingerprint
from passingloop.errors import DataChanged, ModelChanged, OtherVersion
from passingloop.plan import signature
from passingloop.rundir import record
from passingloop.rundir.directory import RunDir
from tests.conftest import Compose


@pytest.fixture
def run(compose: Compose, tmp_path: Path) -> RunDir:
    made = RunDir(tmp_path)
    record.create(made, compose("data=files", "data.train=x.csv", "data.text=Größe"), {"version": "1"})
    return made


def test_the_record_says_what_the_run_is(run: RunDir, compose: Compose) -> None:
    content = files.read_json(run.record)
    config = compose("data=files", "data.train=x.csv", "data.text=Größe")
    assert content["schema"] == 1
    assert content["config"] == to_plain(config)
    assert content["signature"] == signature(config)
    assert content["code"] == {"version": "1"}
    assert (content["data_fingerprint"], content["model_fingerprint"]) == (None, None)
    assert "text: Größe" in run.config.read_text()


def test_a_record_of_another_version_is_refused(run: RunDir) -> None:
    files.write_json(run.record, files.read_json(run.record) | {"schema": 2})
    with pytest.raises(OtherVersion) as refused:
        record.read(run)
    assert str(refused.value) == (
        f"{run.record} has format version 2, but this passingloop reads version 1. Use the version of passingloop that "
        "began this run, or set rerun=true to start afresh beside it."
    )


THEN = {"train": {"a.csv": "1", "b.csv": "2"}, "test": {"t.csv": "3"}}
MODEL = {"weights": {"model.safetensors": "1"}, "chat template": {"chat_template.jinja": "2"}}


def test_the_first_attempt_settles_and_later_ones_keep(run: RunDir) -> None:
    first = record.pin_values(run, record.PinnedValues("bf16", THEN, MODEL))
    assert first == record.PinnedValues("bf16", THEN, MODEL)
    later = record.pin_values(run, record.PinnedValues("fp32", THEN, MODEL))
    assert later == first, "the first attempt's precision counts"
    content = files.read_json(run.record)
    assert (content["data_fingerprint"], content["model_fingerprint"]) == (THEN, MODEL)


def test_a_run_of_an_earlier_version_takes_the_model_that_is_there(run: RunDir) -> None:
    content = files.read_json(run.record) | {"precision": "bf16", "data_fingerprint": THEN}
    del content["model_fingerprint"]
    files.write_json(run.record, content)
    assert record.pin_values(run, record.PinnedValues("fp32", THEN, MODEL)).precision == "bf16"
    with pytest.raises(ModelChanged):
        record.pin_values(run, record.PinnedValues("fp32", THEN, {"weights": {"model.safetensors": "9"}}))


@pytest.mark.parametrize(
    ("now", "words"),
    [
        (MODEL | {"weights": {"model.safetensors": "9"}}, "model.safetensors (weights) has other content. Put"),
        ({"weights": MODEL["weights"]}, "chat_template.jinja (chat template) is gone"),
        (MODEL | {"tokenizer": {"tokenizer.json": "3"}}, "tokenizer.json (tokenizer) is new"),
    ],
)
def test_another_model_is_refused_with_what_changed(run: RunDir, now: Fingerprint, words: str) -> None:
    record.pin_values(run, record.PinnedValues("bf16", THEN, MODEL))
    with pytest.raises(ModelChanged, match="rerun=true") as caught:
        record.pin_values(run, record.PinnedValues("bf16", THEN, now))
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("now", "words"),
    [
        ({**THEN, "train": {"a.csv": "1"}}, "b.csv (train) is gone"),
        ({**THEN, "train": {**THEN["train"], "c.csv": "4"}}, "c.csv (train) is new"),
        ({**THEN, "test": {"t.csv": "4"}}, "t.csv (test) has other content"),
        ({"train": THEN["train"]}, "t.csv (test) is gone"),
        ({**THEN, "validation": {"v.csv": "5"}}, "v.csv (validation) is new"),
        ({"train": {"a.csv": "9", "c.csv": "2"}, "test": THEN["test"]}, "a.csv (train) has other content; b.csv"),
    ],
)
def test_other_data_are_refused_with_what_changed(run: RunDir, now: Fingerprint, words: str) -> None:
    record.pin_values(run, record.PinnedValues("bf16", THEN, None))
    before = run.record.read_bytes()
    with pytest.raises(DataChanged) as caught:
        record.pin_values(run, record.PinnedValues("bf16", now, None))
    assert words in str(caught.value)
    assert run.record.read_bytes() == before


def test_an_attempt_reads_the_settings_it_was_launched_with(run: RunDir, compose: Compose) -> None:
    config = compose("data=files", "data.train=[a.csv,'~/b.csv']", "adapter=lora", "resources.tasks=3", "optim.lr=1")
    run.launch(7).parent.mkdir()
    files.write_json(run.launch(7), to_plain(config))
    assert record.attempt_config(run, 7) == config


def test_a_secret_is_not_in_the_run_directory(
    compose: Compose, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("MY_DB_PASSWORD", "hunter2")
    run = RunDir(tmp_path)
    record.create(run, compose("data=files", "data.train=x.csv", "data.text=${oc.env:MY_DB_PASSWORD}"), {})
    for file in (run.record, run.config):
        assert "${oc.env:MY_DB_PASSWORD}" in file.read_text()
        assert "hunter2" not in file.read_text()
