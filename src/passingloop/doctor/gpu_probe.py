"""Asks the GPUs of this machine whether they are healthy."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

from passingloop.doctor.gpu_checks import Gpu, GpuEvidence
from passingloop.sampling.nvml import NvmlUnavailable, all_gpus, answer, clock_reasons, start_nvml, stop_nvml

TIMEOUT = 30.0
"""Seconds."""

DRIVER_FILE = Path("/proc/driver/nvidia/version")

XID = re.compile(r"NVRM: Xid \(.*?\): (\d+)")
"""In the kernel's log: ``NVRM: Xid (PCI:0000:10:1c): 63, pid=1896, Row Remapper …``."""


def gpus() -> GpuEvidence:
    """The GPUs that this process may use, and what the kernel's log says of all GPUs of the machine."""
    found = _by_nvml()
    log = _output("dmesg") if found.gpus else None
    return GpuEvidence(
        source=found.source,
        error=found.error,
        driver=found.driver or _loaded_driver(),
        gpus=found.gpus,
        xids=None if log is None else tuple(int(number) for number in XID.findall(log)),
    )


def _by_nvml() -> GpuEvidence:
    try:
        pynvml = start_nvml()
    except NvmlUnavailable as error:
        return GpuEvidence(source="NVML", error=f"NVML: {error}") if str(error) else GpuEvidence()
    try:
        handles, driver = all_gpus(pynvml), answer(pynvml, pynvml.nvmlSystemGetDriverVersion) or ""
        if silent := [str(index) for index, handle in enumerate(handles) if handle is None]:
            return GpuEvidence(source="NVML", driver=driver, error=f"NVML: no answer of GPU {', '.join(silent)}")
        found = tuple(_gpu(pynvml, index, handle) for index, handle in enumerate(handles))
        return GpuEvidence(source="NVML", driver=driver, gpus=found)
    finally:
        stop_nvml(pynvml)


def _gpu(pynvml: Any, index: int, handle: Any) -> Gpu:
    ecc = answer(pynvml, pynvml.nvmlDeviceGetEccMode, handle)
    rows = answer(pynvml, pynvml.nvmlDeviceGetRemappedRows, handle)
    uncorrected = (pynvml.NVML_MEMORY_ERROR_TYPE_UNCORRECTED, pynvml.NVML_VOLATILE_ECC)
    return Gpu(
        index=index,
        name=answer(pynvml, pynvml.nvmlDeviceGetName, handle) or "unknown",
        ecc=None if ecc is None else ecc[0] == pynvml.NVML_FEATURE_ENABLED,
        uncorrected=answer(pynvml, pynvml.nvmlDeviceGetTotalEccErrors, handle, *uncorrected),
        pending=None if rows is None else bool(rows[2]),
        failed=None if rows is None else bool(rows[3]),
        slowdowns=clock_reasons(pynvml, handle),
    )


def _loaded_driver() -> str:
    """The version of the kernel's module, as ``535.104.05``; empty if none is loaded."""
    try:
        found = re.search(r"\b(\d{3}\.\d+(?:\.\d+)?)\b", DRIVER_FILE.read_text(encoding="utf-8"))
    except OSError:
        return ""
    return found[1] if found else ""


def _output(*command: str) -> str | None:
    """What a command prints; None if it is not there, fails, or takes too long."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=TIMEOUT, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None
