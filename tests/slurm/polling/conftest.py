"""A folder in which users share answers of Slurm."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from passingloop import site
from passingloop.slurm.polling.answer_store import Store
from tests.slurm.polling.test_polled_queue import keep, own


@pytest.fixture
def shared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    """The folder that users of this node share, as the site's file says; there is no Slurm to be asked."""
    for name in ("runtime", "bin", "etc", "shared"):
        (tmp_path / name).mkdir(mode=0o700)
    (tmp_path / "shared").chmod(0o1777)
    (tmp_path / "etc" / "passingloop.toml").write_text(f'snapshot_folder = "{tmp_path}/shared"\npoll_seconds = 3600\n')
    (tmp_path / "etc" / "slurm.conf").touch()
    monkeypatch.setattr(site, "ROOT", os.getuid())
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "runtime"))
    monkeypatch.setenv("SLURM_CONF", str(tmp_path / "etc" / "slurm.conf"))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    keep(own(), "none", "private")
    return Store(tmp_path / "shared", shared=True)
