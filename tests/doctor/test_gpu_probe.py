"""What nvidia-smi and NVML say. Neither is at hand where these tests run, so both are stood in for here."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from passingloop.doctor import gpu_probe
from passingloop.doctor.gpu_checks import Gpu, GpuEvidence

TABLE = """\
0, NVIDIA H200, 570.133.20, Enabled, 0, No, No, 0x0000000000000001
1, NVIDIA H200, 570.133.20, Enabled, 2, Yes, No, 0x0000000000000040
2, NVIDIA GeForce RTX 4090, 570.133.20, [N/A], [N/A], [N/A], [N/A], 0x0000000000000004
"""
LOG = """\
[12.1] NVRM: loading NVIDIA UNIX x86_64 Kernel Module  570.133.20
[99.2] NVRM: Xid (PCI:0000:10:1c): 63, pid=1896, Row Remapper: New row marked for remapping, reset gpu to activate.
[99.9] NVRM: Xid (0000:01:00): 31, Ch 0000000b, engmask 00000120
"""


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only folder with programs; there is no NVML, nor a driver."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setitem(sys.modules, "pynvml", None)
    monkeypatch.setattr(gpu_probe, "DRIVER_FILE", tmp_path / "version")
    return folder


def program(path: Path, output: str, code: int = 0, unknown: str = "nothing") -> None:
    """A program that prints `output`, and fails where its arguments have the word `unknown` in them."""
    path.with_suffix(".txt").write_text(output)
    refusal = f'case "$*" in *{unknown}*) exit 2;; esac'
    path.write_text(f'#!/bin/sh\n{refusal}\nwhile IFS= read -r line; do echo "$line"; done < {path}.txt\nexit {code}\n')
    path.chmod(0o755)


def test_the_table_of_nvidia_smi(programs: Path) -> None:
    program(programs / "nvidia-smi", TABLE)
    program(programs / "dmesg", LOG)
    assert gpu_probe.gpus() == GpuEvidence(
        source="nvidia-smi",
        driver="570.133.20",
        gpus=(
            Gpu(index=0, name="NVIDIA H200", ecc=True, uncorrected=0, pending=False, failed=False, slowdowns=1),
            Gpu(index=1, name="NVIDIA H200", ecc=True, uncorrected=2, pending=True, failed=False, slowdowns=0x40),
            Gpu(index=2, name="NVIDIA GeForce RTX 4090", slowdowns=4),
        ),
        xids=(63, 31),
    )


def test_an_earlier_driver_has_another_name_for_slowdowns(programs: Path) -> None:
    program(programs / "nvidia-smi", TABLE, unknown="clocks_event_reasons")
    assert [gpu.slowdowns for gpu in gpu_probe.gpus().gpus] == [0x1, 0x40, 0x4]


def test_a_log_that_users_may_not_read(programs: Path) -> None:
    program(programs / "nvidia-smi", TABLE)
    program(programs / "dmesg", "", code=1)
    assert gpu_probe.gpus().xids is None


def test_where_nvidia_smi_fails_its_words_are_the_evidence(programs: Path) -> None:
    words = "Failed to initialize NVML: Driver/library version mismatch"
    program(programs / "nvidia-smi", f"{words}\n", code=18)
    found = gpu_probe.gpus()
    assert (found.gpus, found.error, found.source) == ((), f"nvidia-smi: {words}", "nvidia-smi")


@pytest.mark.usefixtures("programs")
def test_where_there_is_nothing_nothing_is_said(tmp_path: Path) -> None:
    assert gpu_probe.gpus() == GpuEvidence()
    (tmp_path / "version").write_text("NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.104.05  Sat Aug 19\n")
    assert gpu_probe.gpus() == GpuEvidence(driver="535.104.05")


class NVMLError(Exception):
    """As NVML has it."""


def nvml(error: str | None = None) -> SimpleNamespace:
    """Stands for nvidia-ml-py, with its names and the types of its answers: one GPU that has no row remapping.

    Args:
        error: why NVML cannot be started.
    """

    def start() -> None:
        if error:
            raise NVMLError(error)

    def not_supported(handle: int) -> None:
        raise NVMLError("Not Supported")

    return SimpleNamespace(
        NVMLError=NVMLError,
        NVML_MEMORY_ERROR_TYPE_UNCORRECTED=1,
        NVML_VOLATILE_ECC=0,
        NVML_FEATURE_ENABLED=1,
        nvmlInit=start,
        nvmlShutdown=lambda: None,
        nvmlDeviceGetCount=lambda: 1,
        nvmlSystemGetDriverVersion=lambda: b"570.133.20",
        nvmlDeviceGetHandleByIndex=lambda index: index,
        nvmlDeviceGetName=lambda handle: "NVIDIA A30",
        nvmlDeviceGetEccMode=lambda handle: [1, 1],
        nvmlDeviceGetRemappedRows=not_supported,
        nvmlDeviceGetTotalEccErrors=lambda handle, *kind: {(1, 0): 7}[kind],
        nvmlDeviceGetCurrentClocksThrottleReasons=lambda handle: 0x8,
    )


@pytest.mark.usefixtures("programs")
def test_nvml_goes_before_nvidia_smi(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", nvml())
    gpu = Gpu(index=0, name="NVIDIA A30", ecc=True, uncorrected=7, slowdowns=8)
    assert gpu_probe.gpus() == GpuEvidence(source="NVML", driver="570.133.20", gpus=(gpu,))


@pytest.mark.usefixtures("programs")
def test_where_nvml_fails_its_words_are_the_evidence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", nvml("Driver Not Loaded"))
    assert gpu_probe.gpus() == GpuEvidence(source="NVML", error="NVML: Driver Not Loaded")
