"""Whether the GPUs of a node are healthy, and the driver fits torch."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from passingloop.doctor.finding import Finding, Level
from passingloop.text import list_excerpt

LEAST_DRIVER = {11: 450, 12: 525, 13: 580}
"""The oldest driver branch for each major version of CUDA:
docs.nvidia.com/deploy/cuda-compatibility/minor-version-compatibility.html, table 1."""

SLOWDOWNS = {0x08: "hardware slowdown", 0x20: "too warm", 0x40: "too hot", 0x80: "power brake"}
"""Reasons for which a GPU is slower than it could be, as bits: nvmlClocksEventReasons in nvml.h. Those that are part of
normal work (idle, set clocks, power cap) are left out."""

XIDS: dict[int, tuple[Level, str]] = {
    48: ("warning", "an uncorrectable memory error"),
    63: ("warning", "a row of memory was marked for replacement"),
    64: ("problem", "a row of memory could not be replaced"),
    74: ("warning", "an NVLink error"),
    79: ("problem", "the GPU has fallen off the bus"),
    94: ("warning", "a contained memory error"),
    95: ("problem", "an uncontained memory error"),
    119: ("warning", "the GPU's own processor (GSP) did not answer"),
    120: ("warning", "an error of the GPU's own processor (GSP)"),
}
"""Errors of the hardware or driver: docs.nvidia.com/deploy/xid-errors. Those that programs cause (13, 31, 43, 45 …) are
left out."""

RESET = "Tell the administrators to drain the node and reset the GPU; until then leave it out: +cluster.extra.exclude="


@dataclass(frozen=True, kw_only=True, slots=True)
class Gpu:
    """One GPU. None is what it, or its driver, does not tell."""

    index: int
    name: str
    ecc: bool | None = None
    """Whether memory errors are corrected."""
    uncorrected: int | None = None
    """Uncorrectable memory errors since the driver was loaded."""
    pending: bool | None = None
    """Whether a part of the memory is to be replaced at the next reset."""
    failed: bool | None = None
    """Whether a part of the memory is broken and could not be replaced."""
    slowdowns: int | None = None
    """Bits, see `SLOWDOWNS`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class GpuEvidence:
    """What a node says of its GPUs."""

    source: str = ""
    """``NVML``; empty if that is not there."""
    error: str = ""
    """Why it tells nothing."""
    driver: str = ""
    """Its version, as ``570.133.20``; empty if there is none."""
    gpus: tuple[Gpu, ...] = ()
    xids: tuple[int, ...] | None = None
    """The errors in the kernel's log, oldest first; None if the user may not read it."""


def gpu_findings(seen: GpuEvidence, host: str, wanted: bool) -> Iterator[Finding]:
    """All findings about the GPUs of `host`.

    Args:
        wanted: whether the job was given GPUs, real ones.
    """
    if not seen.gpus:
        yield _absence(seen, host, wanted)
        return
    yield from memory(seen, host)
    yield from slowdowns(seen, host)
    yield from kernel_log(seen, host)


def _absence(seen: GpuEvidence, host: str, wanted: bool) -> Finding:
    evidence = seen.error or (f"{seen.source}: no GPU" if seen.source else "NVML is not there")
    if not wanted:
        return Finding("gpu", "ok", f"No NVIDIA GPU is seen on {host}.", evidence)
    what = f"The job was given a GPU on {host}, but no GPU is seen there."
    if not seen.driver and not seen.source:
        remedy = "If the cluster's GPUs are simulated, set cluster.simulated_gpus=true; else tell the administrators."
        return Finding("gpu", "warning", what, evidence, remedy)
    return Finding("gpu", "problem", what, f"driver {seen.driver or 'unknown'}; {evidence}", f"{RESET}{host}")


def memory(seen: GpuEvidence, host: str) -> Iterator[Finding]:
    """Errors of the GPUs' memory."""
    sound = True
    for gpu in seen.gpus:
        name = f"GPU {gpu.index} ({gpu.name}) of {host}"
        if gpu.failed:
            sound = False
            what = f"{name} has broken memory that could not be replaced."
            yield Finding("ecc", "problem", what, f"{seen.source}: row remapping failed", f"{RESET}{host}")
        if gpu.uncorrected:
            sound = False
            what = f"{name} has had {gpu.uncorrected} uncorrectable memory errors; each ends the processes that use it."
            yield Finding("ecc", "problem", what, f"{seen.source}: volatile uncorrected errors", f"{RESET}{host}")
        if gpu.pending:
            sound = False
            what = f"{name} has memory that is to be replaced at its next reset."
            yield Finding("ecc", "warning", what, f"{seen.source}: row remapping or page retirement", f"{RESET}{host}")
    if without := [str(gpu.index) for gpu in seen.gpus if gpu.ecc is False]:
        sound = False
        what = f"Memory errors of the GPUs {', '.join(without)} of {host} are not noticed: ECC is off."
        yield Finding("ecc", "warning", what, seen.source, "Ask the administrators for nvidia-smi --ecc-config=1.")
    if sound:
        known = sum(gpu.uncorrected is not None for gpu in seen.gpus)
        what = f"No uncorrectable memory error on {host}."
        level: Level = "ok" if known else "unknown"
        if not known:
            what = f"The GPUs of {host} do not tell of memory errors."
        yield Finding("ecc", level, what, f"{seen.source}: {known} of {len(seen.gpus)} GPUs count them")


def slowdowns(seen: GpuEvidence, host: str) -> Iterator[Finding]:
    """GPUs that are slower than they could be."""
    slow = {gpu.index: [why for bit, why in SLOWDOWNS.items() if (gpu.slowdowns or 0) & bit] for gpu in seen.gpus}
    for index, reasons in slow.items():
        if reasons:
            what = f"GPU {index} of {host} runs slower than it could: {', '.join(reasons)}."
            remedy = f"Tell the administrators (cooling, power); leave the node out: +cluster.extra.exclude={host}"
            yield Finding("throttling", "warning", what, f"{seen.source}: reasons of the clocks", remedy)
    if not any(slow.values()):
        yield Finding("throttling", "ok", f"No GPU of {host} is slowed down.", f"{seen.source}: {len(slow)} GPUs")


def kernel_log(seen: GpuEvidence, host: str) -> Iterator[Finding]:
    """Errors that the driver has reported to the kernel (XID)."""
    if seen.xids is None:
        remedy = f"Ask the administrators for `dmesg | grep Xid` on {host}."
        what = f"Earlier errors of the GPUs of {host} are not known: the kernel's log is closed to users."
        yield Finding("xid", "unknown", what, "dmesg was refused", remedy)
        return
    counts = Counter(xid for xid in seen.xids if xid in XIDS)
    for xid, count in sorted(counts.items()):
        level, meaning = XIDS[xid]
        what = f"The driver of {host} has reported: {meaning}."
        evidence = f"Xid {xid}, {count} times in the kernel's log since the node was started"
        yield Finding("xid", level, what, evidence, f"{RESET}{host}")
    if not counts:
        others = f"; of programs: {list_excerpt(sorted(set(seen.xids)), 5)}" if seen.xids else ""
        what = f"The driver of {host} has reported no error of the hardware."
        yield Finding("xid", "ok", what, f"the kernel's log has {len(seen.xids)} Xid{others}")


def driver(seen: GpuEvidence, cuda: str | None, torch: str, host: str) -> Iterator[Finding]:
    """Whether the driver of `host` is new enough for the CUDA of torch.

    Args:
        cuda: the version of CUDA that torch was built for; None if for none.
        torch: torch's version.
    """
    if not seen.driver:
        return
    evidence = f"{host}: driver {seen.driver}; torch {torch}, CUDA {cuda or 'none'}"
    if cuda is None:
        if seen.gpus:
            what = f"{host} has GPUs, but this torch cannot use them: it is a build for CPUs."
            remedy = "pip install torch from the index for CUDA, pytorch.org/get-started, in an environment for GPUs."
            yield Finding("cuda", "problem", what, evidence, remedy)
        return
    branch, least = seen.driver.partition(".")[0], LEAST_DRIVER.get(int(cuda.partition(".")[0]))
    if least is None or not branch.isdigit():
        what = f"It is not known which drivers CUDA {cuda} works with."
        yield Finding("cuda", "unknown", what, evidence, "NVIDIA's table: docs.nvidia.com/deploy/cuda-compatibility")
    elif int(branch) < least:
        what = f"torch needs driver {least} or later on {host}: no run finds a GPU."
        remedy = f"Install a torch for an older CUDA, or ask the administrators for driver {least} or later."
        yield Finding("cuda", "problem", what, evidence, remedy)
    else:
        yield Finding("cuda", "ok", f"The driver of {host} fits torch.", evidence)
