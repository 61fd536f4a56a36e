"""Paths that settings name, and whether the hub may be asked."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

import pytest

from passingloop.config.locations import absolute, absolute_key_file, hub_is_offline, located_model
from passingloop.config.settings import ModelConfig
from passingloop.errors import ConfigError
from tests.conftest import Compose


def test_paths_are_taken_from_the_working_folder(compose: Compose, work: Path, tmp_path: Path) -> None:
    (work / "my-model").mkdir()
    (tmp_path / "link").symlink_to(work / "my-model")
    config = compose("run_root=out", "cache_root=/shared", "model.path=my-model", "data=files", "data.train=x.csv")
    assert (config.run_root, config.cache_root) == (work / "out", Path("/shared"))
    assert config.model.path == str(work / "my-model") == compose("model.path=../link").model.path
    assert config.data.train == (str(work / "x.csv"),)


def test_a_path_is_meant_in_the_folder_and_an_unknown_user_has_none(tmp_path: Path) -> None:
    home = Path(os.path.expanduser("~"))  # noqa: PTH111
    named = ("a.csv", "/a.csv", "~/a.csv", "~nobody_here/a.csv")
    places = [tmp_path / "a.csv", Path("/a.csv"), home / "a.csv", tmp_path / "~nobody_here/a.csv"]
    assert [absolute(path, tmp_path) for path in named] == places


def test_credentials_are_words_or_a_path(tmp_path: Path) -> None:
    assert [absolute_key_file(words, tmp_path) for words in ("default", "anonymous")] == ["default", "anonymous"]
    assert absolute_key_file("key.json", tmp_path) == str(tmp_path / "key.json")


@pytest.mark.parametrize(
    ("path", "message"),
    [
        (
            "./gone",
            r"^You set model\.path=\./gone, but there is no such folder\. Give a folder that holds a model, or a",
        ),
        ("~nobody_here/x", "but there is no such folder"),
        ("/gone", "but there is no such folder"),
        ("", "^You set model\\.path=, which is neither a folder nor a Hugging Face model id\\.$"),
        ("three/part/id", "neither a folder nor a Hugging Face model id"),
        ("an id", "neither a folder nor a Hugging Face model id"),
    ],
)
def test_a_model_is_a_folder_or_an_id(tmp_path: Path, path: str, message: str) -> None:
    model = ModelConfig(path="org/name", revision=None, trust_remote_code=False, dropout=None)
    assert located_model(model, tmp_path) == model
    with pytest.raises(ConfigError, match=message):
        located_model(dataclasses.replace(model, path=path), tmp_path)


def test_a_folder_has_no_revisions(tmp_path: Path) -> None:
    model = ModelConfig(path=str(tmp_path), revision="no-such-branch", trust_remote_code=False, dropout=None)
    with pytest.raises(ConfigError, match=r"You set model.revision=no-such-branch, but model.path=.* is a folder"):
        located_model(model, tmp_path)


@pytest.mark.parametrize(
    ("hub", "transformers", "offline"),
    [
        (None, None, False),
        ("1", None, True),
        (None, "on", True),
        ("Yes", "0", True),
        ("0", "1", False),
        ("", "TRUE", True),
        ("no", None, False),
    ],
)
def test_whether_the_hub_may_be_asked(
    monkeypatch: pytest.MonkeyPatch, hub: str | None, transformers: str | None, offline: bool
) -> None:
    for name, value in (("HF_HUB_OFFLINE", hub), ("TRANSFORMERS_OFFLINE", transformers)):
        monkeypatch.delenv(name, raising=False)
        if value is not None:
            monkeypatch.setenv(name, value)
    assert hub_is_offline() is offline
