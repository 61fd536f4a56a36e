"""Asks the GPUs of this machine: NVML through nvidia-ml-py where that is installed, else nvidia-smi."""

from __future__ import annotations

import contextlib
import csv
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

from passingloop.doctor.gpu_checks import Gpu, GpuEvidence

TIMEOUT = 30.0
"""Seconds. Without the persistence daemon nvidia-smi initialises every GPU first."""

DRIVER_FILE = Path("/proc/driver/nvidia/version")

FIELDS = {
    "index": "index",
    "name": "name",
    "driver": "driver_version",
    "ecc": "ecc.mode.current",
    "uncorrected": "ecc.errors.uncorrected.volatile.total",
    "pending": "remapped_rows.pending",
    "failed": "remapped_rows.failure",
    "slowdowns": "clocks_event_reasons.active",
}
"""What nvidia-smi is asked for."""

EARLIER_NAMES = {"clocks_event_reasons.active": "clocks_throttle_reasons.active"}
"""What earlier drivers call it."""

XID = re.compile(r"NVRM: Xid \(.*?\): (\d+)")
"""In the kernel's log: ``NVRM: Xid (PCI:0000:10:1c): 63, pid=1896, Row Remapper …``."""


def gpus() -> GpuEvidence:
    """The GPUs that this process may use, and what the kernel's log says of all GPUs of the machine."""
    found = _by_nvml() or _by_nvidia_smi()
    log = _output("dmesg") if found.gpus else None
    return GpuEvidence(
        source=found.source,
        error=found.error,
        driver=found.driver or _loaded_driver(),
        gpus=found.gpus,
        xids=None if log is None else tuple(int(number) for number in XID.findall(log)),
    )


def _by_nvml() -> GpuEvidence | None:
    """None without nvidia-ml-py."""
    try:
        import pynvml
    except ImportError:
        return None
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError as error:
        return GpuEvidence(source="NVML", error=f"NVML: {error}")
    try:
        found = [_nvml_gpu(pynvml, index) for index in range(pynvml.nvmlDeviceGetCount())]
        return GpuEvidence(source="NVML", driver=_text(pynvml.nvmlSystemGetDriverVersion()), gpus=tuple(found))
    except pynvml.NVMLError as error:
        return GpuEvidence(source="NVML", error=f"NVML: {error}")
    finally:
        pynvml.nvmlShutdown()


def _nvml_gpu(pynvml: Any, index: int) -> Gpu:
    handle = pynvml.nvmlDeviceGetHandleByIndex(index)

    def ask(question: Callable[..., Any], *arguments: Any) -> Any:
        """None for what this GPU does not support."""
        with contextlib.suppress(pynvml.NVMLError):
            return question(handle, *arguments)
        return None

    ecc = ask(pynvml.nvmlDeviceGetEccMode)
    rows = ask(pynvml.nvmlDeviceGetRemappedRows)
    uncorrected = (pynvml.NVML_MEMORY_ERROR_TYPE_UNCORRECTED, pynvml.NVML_VOLATILE_ECC)
    return Gpu(
        index=index,
        name=_text(pynvml.nvmlDeviceGetName(handle)),
        ecc=None if ecc is None else ecc[0] == pynvml.NVML_FEATURE_ENABLED,
        uncorrected=ask(pynvml.nvmlDeviceGetTotalEccErrors, *uncorrected),
        pending=None if rows is None else bool(rows[2]),
        failed=None if rows is None else bool(rows[3]),
        slowdowns=ask(pynvml.nvmlDeviceGetCurrentClocksThrottleReasons),
    )


def _text(value: str | bytes) -> str:
    """Earlier releases of nvidia-ml-py return bytes."""
    return value.decode() if isinstance(value, bytes) else value


def _by_nvidia_smi() -> GpuEvidence:
    names = list(FIELDS.values())
    for fields in (names, [EARLIER_NAMES.get(name, name) for name in names]):
        text = _output("nvidia-smi", f"--query-gpu={','.join(fields)}", "--format=csv,noheader,nounits")
        if text is not None:
            return read_smi(text)
    error = _smi_error()
    return GpuEvidence(source="nvidia-smi" if error else "", error=error)


def _smi_error() -> str:
    """What nvidia-smi says when it fails; empty if it is not installed."""
    try:
        done = subprocess.run(["nvidia-smi"], capture_output=True, text=True, timeout=TIMEOUT, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return "" if isinstance(error, FileNotFoundError) else f"nvidia-smi: {error}"
    words = " ".join((done.stdout + done.stderr).split())
    return f"nvidia-smi: {words}" if done.returncode else "nvidia-smi does not know what it was asked for"


def read_smi(text: str) -> GpuEvidence:
    """Parse nvidia-smi's table. ``[N/A]`` and the like are what a GPU does not tell."""
    rows = [dict(zip(FIELDS, map(str.strip, row), strict=False)) for row in csv.reader(text.splitlines()) if row]
    rows = [row for row in rows if len(row) == len(FIELDS) and row["index"].isdigit()]
    found = tuple(
        Gpu(
            index=int(row["index"]),
            name=row["name"],
            ecc={"Enabled": True, "Disabled": False}.get(row["ecc"]),
            uncorrected=_number(row["uncorrected"]),
            pending=_flag(row["pending"]),
            failed=_flag(row["failed"]),
            slowdowns=_number(row["slowdowns"]),
        )
        for row in rows
    )
    return GpuEvidence(source="nvidia-smi", driver=rows[0]["driver"] if rows else "", gpus=found)


def _number(text: str) -> int | None:
    try:
        return int(text, 0)
    except ValueError:
        return None


def _flag(text: str) -> bool | None:
    return {"yes": True, "no": False, "1": True, "0": False}.get(text.lower())


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
