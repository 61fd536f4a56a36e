"""How busy the GPUs of a job are, from NVIDIA's management library, which the driver brings."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence

LIBRARY = "libnvidia-ml.so.1"


class _Utilisation(ctypes.Structure):
    """nvmlUtilization_t: percent of the last sample period, which is a second or less."""

    _fields_ = (("gpu", ctypes.c_uint), ("memory", ctypes.c_uint))


def gpu_percent(names: Sequence[str]) -> list[int]:
    """The utilisation of the GPUs with these names, as CUDA_VISIBLE_DEVICES spells them.

    Without a driver, and for what the library does not measure, such as a part of a GPU (MIG), there is no number.
    """
    if not names:
        return []
    try:
        library = ctypes.CDLL(LIBRARY)
    except OSError:
        return []
    if library.nvmlInit_v2():
        return []
    try:
        return [percent for name in names if (percent := _percent(library, name)) is not None]
    finally:
        library.nvmlShutdown()


def _percent(library: ctypes.CDLL, name: str) -> int | None:
    device, used = ctypes.c_void_p(), _Utilisation()
    failed = (
        library.nvmlDeviceGetHandleByIndex_v2(ctypes.c_uint(int(name)), ctypes.byref(device))
        if name.isdecimal()
        else library.nvmlDeviceGetHandleByUUID(name.encode(), ctypes.byref(device))
    )
    if failed or library.nvmlDeviceGetUtilizationRates(device, ctypes.byref(used)):
        return None
    return int(used.gpu)
