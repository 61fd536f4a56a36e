"""``slurm-policy export``: where the file cannot be written."""

from __future__ import annotations

import argparse
from pathlib import Path
from types import SimpleNamespace

import pytest

from passingloop.errors import ConfigError
from passingloop.policy import administration


def test_a_file_that_cannot_be_written_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    observed = SimpleNamespace(state=None, config=None, partitions=None, nodes=None)
    monkeypatch.setattr(administration, "observe", lambda: observed)
    monkeypatch.setattr(administration, "written_policy", lambda *parts: "cluster: dev\n")
    path = tmp_path / "missing" / "policy.yaml"
    with pytest.raises(ConfigError, match=r"missing/policy\.yaml cannot be written: No such file or directory"):
        administration._export(argparse.Namespace(file=path))
