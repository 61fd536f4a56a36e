"""GPUs: each check with evidence by which it says something is wrong, and with evidence by which it does not."""

from __future__ import annotations

from typing import Any

import pytest

from passingloop.doctor.gpu_checks import Gpu, GpuEvidence, driver, gpu_findings
from tests.doctor.said import levels

SOUND: dict[str, Any] = {"ecc": True, "uncorrected": 0, "pending": False, "failed": False, "slowdowns": 0x5}


def evidence(xids: tuple[int, ...] | None = (), **changes: Any) -> GpuEvidence:
    gpus = (Gpu(index=0, name="H200", **SOUND), Gpu(index=1, name="H200", **SOUND | changes))
    return GpuEvidence(source="NVML", driver="580.65.06", gpus=gpus, xids=xids)


def said(check: str, seen: GpuEvidence, wanted: bool = True) -> list[str]:
    return levels(gpu_findings(seen, "n1", wanted), check)


@pytest.mark.parametrize(
    ("changes", "level"),
    [
        ({}, ["ok"]),
        ({"uncorrected": 3}, ["problem"]),
        ({"failed": True}, ["problem"]),
        ({"pending": True}, ["warning"]),
        ({"ecc": False}, ["warning"]),
        ({"failed": True, "uncorrected": 1, "pending": True}, ["problem", "problem", "warning"]),
    ],
)
def test_memory_errors(changes: dict[str, Any], level: list[str]) -> None:
    found = list(gpu_findings(evidence(**changes), "n1", wanted=True))
    assert levels(found, "ecc") == level
    assert all("n1" in finding.what for finding in found)


def test_gpus_that_do_not_count_memory_errors() -> None:
    gpu = Gpu(index=0, name="GeForce")
    assert said("ecc", GpuEvidence(source="NVML", driver="580.1", gpus=(gpu,), xids=())) == ["unknown"]


@pytest.mark.parametrize(
    ("bits", "level"),
    [(0x0, "ok"), (0x1 | 0x4 | 0x100, "ok"), (0x8, "warning"), (0x20, "warning"), (0x41, "warning"), (0x80, "warning")],
)
def test_slowdowns(bits: int, level: str) -> None:
    assert said("throttling", evidence(slowdowns=bits)) == [level]


@pytest.mark.parametrize(
    ("xids", "level"),
    [
        ((), ["ok"]),
        ((13, 31, 43), ["ok"]),  # those of programs
        ((79,), ["problem"]),
        ((48, 48, 94), ["warning", "warning"]),
        ((95, 63), ["warning", "problem"]),
        (None, ["unknown"]),
    ],
)
def test_errors_in_the_kernels_log(xids: tuple[int, ...] | None, level: list[str]) -> None:
    assert said("xid", evidence(xids)) == level


@pytest.mark.parametrize(
    ("seen", "wanted", "level"),
    [
        (GpuEvidence(), False, "ok"),
        (GpuEvidence(), True, "warning"),  # simulated, perhaps
        (GpuEvidence(source="NVML", error="NVML: Driver/library version mismatch"), True, "problem"),
        (GpuEvidence(source="NVML", driver="535.1"), True, "problem"),
        (GpuEvidence(driver="535.1"), True, "problem"),
    ],
)
def test_no_gpu_is_seen(seen: GpuEvidence, wanted: bool, level: str) -> None:
    assert said("gpu", seen, wanted) == [level]


@pytest.mark.parametrize(
    ("version", "cuda", "level"),
    [
        ("580.65.06", "13.0", ["ok"]),
        ("610.1", "13.2", ["ok"]),
        ("570.133.20", "13.0", ["problem"]),
        ("525.60.13", "12.8", ["ok"]),
        ("515.65", "12.1", ["problem"]),
        ("470.1", "11.8", ["ok"]),
        ("580.65.06", "14.0", ["unknown"]),
        ("580.65.06", None, ["problem"]),
    ],
)
def test_the_driver_against_torchs_cuda(version: str, cuda: str | None, level: list[str]) -> None:
    seen = GpuEvidence(source="NVML", driver=version, gpus=(Gpu(index=0, name="A100"),))
    assert levels(driver(seen, cuda, "2.13.0", "n1")) == level


def test_a_machine_without_gpus_needs_no_cuda() -> None:
    assert levels(driver(GpuEvidence(), None, "2.13.0", "n1")) == []
    assert levels(driver(GpuEvidence(driver="580.1"), None, "2.13.0", "n1")) == []
