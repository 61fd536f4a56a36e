"""What compiling needs, and what measurements depend on."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from passingloop.model.device.kernels import kernel_key, missing_compiler

CPU = torch.device("cpu")


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
