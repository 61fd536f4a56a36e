"""Whether data are prepared is told without reading them: by what is known in a moment."""

from __future__ import annotations

import math
import os
import time
from pathlib import Path

import pytest

from passingloop.config.data import DataConfig
from passingloop.config.settings import RunConfig
from passingloop.data.cache import index
from passingloop.data.sql.settings import SqlData
from tests.conftest import Compose


@pytest.fixture
def config(tmp_path: Path, compose: Compose) -> RunConfig:
    (tmp_path / "a.csv").write_text("text,label\na,b\n")
    return compose("data=files", f"data.train={tmp_path / 'a.csv'}", f"cache_root={tmp_path / 'cache'}")


def tokens(config: RunConfig) -> Path:
    folder = config.cache_root / "tokens" / "0123"
    folder.mkdir(parents=True)
    (folder / "meta.json").touch()
    return folder


def test_what_was_prepared_is_remembered_until_it_is_gone(config: RunConfig) -> None:
    noted = index.config_digest(config)
    assert not index.is_prepared(config, noted)
    folder = tokens(config)
    index.record_folders(config, noted, [folder])
    assert index.is_prepared(config, noted)
    (folder / "meta.json").unlink()
    assert not index.is_prepared(config, noted)


def test_a_cache_that_cannot_be_written_is_no_error(config: RunConfig) -> None:
    index.record_folders(config, "0", [tokens(config)])
    (config.cache_root / "index" / "0").unlink()
    (config.cache_root / "index").rmdir()
    (config.cache_root / "index").touch()
    index.record_folders(config, "0", [config.cache_root / "tokens" / "0123"])


def test_other_files_are_other_data(config: RunConfig, tmp_path: Path) -> None:
    before = index.config_digest(config)
    assert index.config_digest(config) == before
    os.utime(tmp_path / "a.csv", (time.time(), 0))
    changed = index.config_digest(config)
    (tmp_path / "a.csv").write_text("text,label\n")
    os.utime(tmp_path / "a.csv", (time.time(), 0))
    assert len({before, changed, index.config_digest(config)}) == 3


@pytest.mark.parametrize(
    ("words", "same"),
    [
        (("optim.lr=1", "trainer.batch_size=7", "launcher=slurm", "resources.gpus=2"), True),
        (("data.limit=3",), False),
        (("data.max_length=7",), False),
        (("model.path=a/b",), False),
        (("task=causal_lm",), False),
    ],
)
def test_the_settings_that_count(
    config: RunConfig, compose: Compose, tmp_path: Path, words: tuple[str, ...], same: bool
) -> None:
    usual = ("data=files", f"data.train={tmp_path / 'a.csv'}", f"cache_root={tmp_path / 'cache'}")
    assert (index.config_digest(compose(*usual, *words)) == index.config_digest(config)) is same


def test_rows_that_are_to_be_read_anew_are_not_prepared(compose: Compose, tmp_path: Path) -> None:
    words = ("data=sql", "data.dsn=shop", "data.train=questions", f"cache_root={tmp_path}")
    kept, anew = compose(*words), compose(*words, "data.refresh=true")
    noted = index.config_digest(kept)
    assert index.config_digest(anew) == noted
    index.record_folders(anew, noted, [tokens(anew)])
    assert index.is_prepared(kept, noted) and not index.is_prepared(anew, noted)


def test_servers_are_asked_elsewhere(config: RunConfig, compose: Compose) -> None:
    asked: list[DataConfig] = []

    def elsewhere(source: DataConfig) -> int | None:
        asked.append(source)
        return None if isinstance(source, SqlData) and source.refresh else 1000

    assert index.data_size(config, elsewhere) == 15 and not asked
    words = ("data=sql", "data.dsn=shop", "data.train=questions")
    assert index.data_size(compose(*words), elsewhere) == 1000
    assert index.data_size(compose(*words, "data.refresh=true"), elsewhere) is None


def test_time_follows_from_size_and_cpus() -> None:
    assert index.preparation_seconds(None, 8) == math.inf
    assert index.preparation_seconds(0, 1) == 0
    assert index.preparation_seconds(10**9, 4) == 4 * index.preparation_seconds(10**9, 16)
    assert 10 < index.preparation_seconds(60 * 2**20, 1) < 300
