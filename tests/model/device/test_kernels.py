"""Where compiled code is kept, and what compiling needs."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch

from passingloop.model.device.kernels import CODE_FOLDER, keep_compiled_code_private, kernel_key, missing_compiler

CPU = torch.device("cpu")


def test_compiled_code_is_kept_in_the_users_own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "code"
    monkeypatch.setenv(CODE_FOLDER, str(folder))
    assert keep_compiled_code_private() is None
    assert os.environ[CODE_FOLDER] == str(folder)
    assert folder.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("trap", ["writable", "link", "file", "none"])
def test_code_that_others_could_have_put_there_is_not_executed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trap: str
) -> None:
    folder = tmp_path / "code"
    if trap == "writable":
        folder.mkdir()
        folder.chmod(0o770)
    elif trap == "link":
        (tmp_path / "elsewhere").mkdir()
        folder.symlink_to(tmp_path / "elsewhere")
    elif trap == "file":
        folder.write_text("")
    monkeypatch.setenv(CODE_FOLDER, "" if trap == "none" else str(folder))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    own = keep_compiled_code_private()
    assert own and own.name == os.environ[CODE_FOLDER]
    kept = Path(own.name)
    assert kept != folder
    assert kept.parent == tmp_path and kept.stat().st_mode & 0o777 == 0o700
    own.cleanup()


def test_a_compiler_that_is_not_there_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", str(tmp_path / "no-compiler"))
    assert missing_compiler(CPU) == f"there is no compiler ({tmp_path / 'no-compiler'}; $CXX)"
    compiler = tmp_path / "no-compiler"
    compiler.write_text("#!/bin/sh\n")
    compiler.chmod(0o700)
    assert missing_compiler(CPU) is None
    monkeypatch.delenv("CXX")
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    assert missing_compiler(CPU) == "there is no compiler (g++ or clang++; $CXX)"


def test_measurements_depend_on_device_and_libraries() -> None:
    key = kernel_key(CPU)
    assert key["torch"] == torch.__version__
    assert key["threads"] == torch.get_num_threads()
    assert key["device"]
