"""NVIDIA's management library (NVML), which the driver brings: the one way in which this program asks a GPU."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import takewhile
from re import compile as pattern
from typing import Any

GPU_NAME = pattern(r"\d+|(GPU|MIG)-.+")
"""A number, or the start of a UUID."""


class NvmlUnavailable(Exception):
    """NVML cannot be used; the message says why, and is empty where there is no driver at all."""


def start_nvml() -> Any:
    """The module pynvml, with the library loaded and initialised; it asks the GPUs that this process may use.

    Raises:
        NvmlUnavailable: there is no driver, or it does not answer.
    """
    import pynvml  # takes 30 ms

    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError as error:
        missing = error.value == pynvml.NVML_ERROR_LIBRARY_NOT_FOUND
        raise NvmlUnavailable("" if missing else str(error)) from error
    return pynvml


def stop_nvml(pynvml: Any) -> None:
    """Let the library go."""
    answer(pynvml, pynvml.nvmlShutdown)


def answer(pynvml: Any, question: Callable[..., Any], *arguments: Any) -> Any:
    """What a function of NVML returns; None where the GPU, or its driver, does not know the answer or is lost."""
    try:
        return question(*arguments)
    except pynvml.NVMLError:
        return None


def gpu_names(visible: str) -> list[str]:
    """The names in the value of CUDA_VISIBLE_DEVICES.

    CUDA takes the names up to the first that is none, such as -1 (CUDA C++ Programming Guide, environment variables).
    """
    return list(takewhile(GPU_NAME.fullmatch, (name.strip() for name in visible.split(","))))


def find_devices(pynvml: Any, names: Sequence[str]) -> list[Any]:
    """The handles of the GPUs, or parts of GPUs (MIG), with these names; without those that are not there.

    Numbers are those of NVML, which are CUDA's as well, unless a machine has GPUs of several kinds. A UUID may be
    abbreviated. Of a GPU that is divided into parts CUDA uses the first.
    """
    handles = [_find_device(pynvml, name) for name in names]
    return [_first_part(pynvml, handle) or handle for handle in handles if handle is not None]


def parent_of(pynvml: Any, handle: Any) -> Any:
    """The GPU that `handle` is a part of; None if it is a whole GPU."""
    is_part = answer(pynvml, pynvml.nvmlDeviceIsMigDeviceHandle, handle)
    if not is_part or not is_part.value:
        return None
    return answer(pynvml, pynvml.nvmlDeviceGetDeviceHandleFromMigDeviceHandle, handle)


def all_gpus(pynvml: Any) -> list[Any]:
    """The handles of the GPUs that this process may use; None for one that does not answer."""
    count = answer(pynvml, pynvml.nvmlDeviceGetCount) or 0
    return [answer(pynvml, pynvml.nvmlDeviceGetHandleByIndex, index) for index in range(count)]


def clock_reasons(pynvml: Any, handle: Any) -> int | None:
    """Why the clocks of a GPU are as they are: the bits of nvmlClocksEventReasons in nvml.h."""
    # The second is what drivers before 535 call it.
    for question in (pynvml.nvmlDeviceGetCurrentClocksEventReasons, pynvml.nvmlDeviceGetCurrentClocksThrottleReasons):
        bits: int | None = answer(pynvml, question, handle)
        if bits is not None:
            return bits
    return None


def _find_device(pynvml: Any, name: str) -> Any:
    if name.isdecimal():
        return answer(pynvml, pynvml.nvmlDeviceGetHandleByIndex, int(name))
    found = answer(pynvml, pynvml.nvmlDeviceGetHandleByUUID, name)
    if found is not None:
        return found
    devices = [part for gpu in all_gpus(pynvml) if gpu is not None for part in (gpu, *_parts(pynvml, gpu))]
    matching = [each for each in devices if (answer(pynvml, pynvml.nvmlDeviceGetUUID, each) or "").startswith(name)]
    return matching[0] if len(matching) == 1 else None


def _first_part(pynvml: Any, handle: Any) -> Any:
    return next(iter(_parts(pynvml, handle)), None)


def _parts(pynvml: Any, gpu: Any) -> list[Any]:
    """The handles of the parts of a GPU; none if it is not divided."""
    mode = answer(pynvml, pynvml.nvmlDeviceGetMigMode, gpu)
    if not mode or mode[0] != pynvml.NVML_DEVICE_MIG_ENABLE:
        return []
    count = answer(pynvml, pynvml.nvmlDeviceGetMaxMigDeviceCount, gpu) or 0
    parts = [answer(pynvml, pynvml.nvmlDeviceGetMigDeviceHandleByIndex, gpu, index) for index in range(count)]
    return [part for part in parts if part is not None]
