"""What is seen of the environment of this process."""

from __future__ import annotations

import os
import platform
import sys
from importlib import metadata
from pathlib import Path

import pytest

from passingloop.doctor.software_checks import Library, OdbcDriver
from passingloop.doctor.software_probe import odbc_drivers, software, torch_cuda, wandb


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Without what the environment of the tests may have."""
    for name in (
        "LOADEDMODULES",
        "PYTHONPATH",
        "LD_LIBRARY_PATH",
        "LD_PRELOAD",
        "WANDB_MODE",
        "WANDB_API_KEY",
        "NETRC",
    ):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))


def test_versions_and_paths() -> None:
    found = software()
    assert found.versions["torch"] == metadata.version("torch")
    assert found.python == f"{sys.executable} {platform.python_version()}"
    assert (found.modules, found.python_path, found.machine) == ((), "", platform.machine())


def test_torch_says_for_which_cuda_it_is() -> None:
    import torch

    assert torch_cuda() == torch.version.cuda


def test_torchs_cuda_is_read_from_its_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "torch").mkdir()
    (tmp_path / "torch" / "__init__.py").write_text("raise AssertionError('imported')\n")
    (tmp_path / "torch" / "version.py").write_text("debug = False\ncuda: Optional[str] = '13.0'\nhip = None\n")
    monkeypatch.delitem(sys.modules, "torch", raising=False)
    monkeypatch.syspath_prepend(str(tmp_path))
    assert torch_cuda() == "13.0"


def test_what_the_shell_has_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOADEDMODULES", "gcc/13:cuda/13.0")
    monkeypatch.setenv("PYTHONPATH", "/apps/lib")
    monkeypatch.setenv("APPTAINER_CONTAINER", "/images/torch.sif")
    before = os.umask(0o027)
    try:
        found = software()
    finally:
        os.umask(before)
    assert (found.modules, found.python_path, found.umask) == (("gcc/13", "cuda/13.0"), "/apps/lib", 0o027)
    assert found.container == "APPTAINER_CONTAINER=/images/torch.sif"


def test_nccl_on_the_paths_of_the_loader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "libnccl.so.2.25.1").touch()
    (tmp_path / "libnccl.so.2").symlink_to("libnccl.so.2.25.1")
    monkeypatch.setenv("LD_LIBRARY_PATH", f":/nowhere:{tmp_path}")
    assert Library(version="2.25.1", place=f"{tmp_path}/libnccl.so.2") in software().nccl


def test_odbc_drivers_of_the_system_and_the_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "there.so").touch()
    (tmp_path / "odbcinst.ini").write_text(
        f"[ODBC]\nTrace=0\n[PostgreSQL]\nDriver=psqlodbcw.so\n[Own]\nDriver={tmp_path}/a%.so\n"
    )
    (tmp_path / ".odbcinst.ini").write_text(f"[There]\nDriver = {tmp_path}/there.so\n[Empty]\nSetup=x\n")
    monkeypatch.setenv("ODBCSYSINI", str(tmp_path))
    assert list(odbc_drivers()) == [
        OdbcDriver(name="PostgreSQL", library="psqlodbcw.so", found=None),
        OdbcDriver(name="Own", library=f"{tmp_path}/a%.so", found=False),
        OdbcDriver(name="There", library=f"{tmp_path}/there.so", found=True),
    ]


def test_a_file_of_drivers_that_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "odbcinst.ini").write_text("Driver=psqlodbcw.so\n")
    monkeypatch.setenv("ODBCSYSINI", str(tmp_path))
    assert list(odbc_drivers()) == []


def test_how_runs_would_be_tracked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")  # nobody answers there
    assert wandb("none").mode == "none"
    assert wandb("auto").has_key is False
    assert wandb("auto").reachable is None  # nobody is asked in vain
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login user password " + 40 * "a")
    monkeypatch.setenv("NETRC", str(netrc))
    assert (wandb("auto").has_key, wandb("auto").reachable) == (True, False)
    monkeypatch.setenv("WANDB_MODE", "offline")
    assert (wandb("auto").mode, wandb("wandb").mode) == ("offline", "wandb")
