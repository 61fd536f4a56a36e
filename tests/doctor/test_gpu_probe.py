"""What NVML says of the health of GPUs. A library stands in for the driver's: no machine of the tests has a GPU."""

from __future__ import annotations

from pathlib import Path

import pytest

from passingloop.doctor import gpu_probe
from passingloop.doctor.gpu_checks import Gpu, GpuEvidence
from tests.tools.nvml_stand_in import ECC, GPU_IS_LOST, ROWS, THROTTLING, VERSION_MISMATCH, NvmlStandIn

LOG = """\
[12.1] NVRM: loading NVIDIA UNIX x86_64 Kernel Module  570.133.20
[99.2] NVRM: Xid (PCI:0000:10:1c): 63, pid=1896, Row Remapper: New row marked for remapping, reset gpu to activate.
[99.9] NVRM: Xid (0000:01:00): 31, Ch 0000000b, engmask 00000120
"""


@pytest.fixture(autouse=True)
def dmesg(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The path of the only program, which is not there at first; no driver is loaded."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setattr(gpu_probe, "DRIVER_FILE", tmp_path / "version")
    return folder / "dmesg"


def program(path: Path, output: str, code: int = 0) -> None:
    """A program that prints `output`."""
    path.with_suffix(".txt").write_text(output)
    path.write_text(f'#!/bin/sh\nwhile IFS= read -r line; do echo "$line"; done < {path}.txt\nexit {code}\n')
    path.chmod(0o755)


def test_what_gpus_tell_of_themselves(nvml: NvmlStandIn, dmesg: Path) -> None:
    program(dmesg, LOG)
    nvml.add_gpu(reasons=0x1)
    nvml.add_gpu(uncorrected=2, pending=1, reasons=0x40)
    nvml.add_gpu(unsupported=ECC | ROWS | THROTTLING)
    name = "Stand-in H200"
    assert gpu_probe.gpus() == GpuEvidence(
        source="NVML",
        driver="570.133.20",
        gpus=(
            Gpu(index=0, name=name, ecc=True, uncorrected=0, pending=False, failed=False, slowdowns=1),
            Gpu(index=1, name=name, ecc=True, uncorrected=2, pending=True, failed=False, slowdowns=0x40),
            Gpu(index=2, name=name),
        ),
        xids=(63, 31),
    )


def test_a_log_that_users_may_not_read(nvml: NvmlStandIn, dmesg: Path) -> None:
    program(dmesg, "", code=1)
    nvml.add_gpu()
    assert gpu_probe.gpus().xids is None


def test_why_the_library_does_not_start_is_the_evidence(nvml: NvmlStandIn) -> None:
    nvml.add_gpu()
    nvml.state.init = VERSION_MISMATCH
    assert gpu_probe.gpus() == GpuEvidence(source="NVML", error="NVML: RM has detected an NVML/RM version mismatch.")


def test_a_gpu_that_is_lost_is_not_passed_over(nvml: NvmlStandIn) -> None:
    nvml.add_gpu()
    nvml.add_gpu(error=GPU_IS_LOST)
    expected = GpuEvidence(source="NVML", driver="570.133.20", error="NVML: no answer of GPU 1")
    assert gpu_probe.gpus() == expected


@pytest.mark.skipif(Path("/proc/driver/nvidia").exists(), reason="this machine has a driver")
def test_where_there_is_nothing_nothing_is_said(tmp_path: Path) -> None:
    assert gpu_probe.gpus() == GpuEvidence()
    (tmp_path / "version").write_text("NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.104.05  Sat Aug 19\n")
    assert gpu_probe.gpus() == GpuEvidence(driver="535.104.05")
