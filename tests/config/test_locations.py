"""Paths that settings name."""

from __future__ import annotations

from pathlib import Path

from tests.conftest import Compose


def test_paths_are_taken_from_the_working_folder(compose: Compose, work: Path, tmp_path: Path) -> None:
    (work / "my-model").mkdir()
    (tmp_path / "link").symlink_to(work / "my-model")
    config = compose("run_root=out", "cache_root=/shared", "model.path=my-model", "data=files", "data.train=x.csv")
    assert (config.run_root, config.cache_root) == (work / "out", Path("/shared"))
    assert config.model.path == str(work / "my-model") == compose("model.path=../link").model.path
    assert config.data.train == (str(work / "x.csv"),)
