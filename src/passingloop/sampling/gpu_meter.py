"""What GPUs do, asked for over and over: busy, activity, memory, power, temperature, throttling."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Self

from passingloop.rundir.samples import Device, GpuSample
from passingloop.sampling.gpu_activity import GpuActivity
from passingloop.sampling.nvml import (
    NvmlUnavailable,
    answer,
    clock_reasons,
    find_devices,
    parent_of,
    start_nvml,
    stop_nvml,
)

THROTTLE_BITS = {"power": 0x04, "heat": 0x20 | 0x40, "brake": 0x80, "hardware": 0x08}
"""The bits of nvmlClocksEventReasons in nvml.h that stand for each of the reasons in the samples. Those that are part
of normal work (idle, clocks that someone has set, the display) are left out."""


class GpuMeter:
    """Asks the GPUs with `names`, as CUDA_VISIBLE_DEVICES spells them, what they do.

    Without a driver there are none of them; a name that the driver does not know is left out.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self._pynvml: Any = None
        self._gpus: list[_Gpu] = []
        if names:
            with suppress(NvmlUnavailable):
                self._pynvml = start_nvml()
                self._gpus = [_Gpu(self._pynvml, handle) for handle in find_devices(self._pynvml, names)]

    @property
    def devices(self) -> tuple[Device, ...]:
        """What is asked, in the order of `names`."""
        return tuple(gpu.device for gpu in self._gpus)

    def sample(self) -> tuple[GpuSample, ...]:
        """What each of `devices` does: means are since the last call."""
        return tuple(gpu.sample() for gpu in self._gpus)

    def close(self) -> None:
        """Let the library go."""
        for gpu in self._gpus:
            gpu.close()
        self._gpus = []
        if self._pynvml:
            stop_nvml(self._pynvml)
            self._pynvml = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


@dataclass(slots=True)
class _Gpu:
    """One GPU, or a part of one, and what it was asked before."""

    pynvml: Any
    handle: Any
    device: Device = field(init=False)
    whole: Any = field(init=False)
    """The handle of the whole GPU."""
    activity: GpuActivity | None = field(init=False)
    energy: tuple[float, float] | None = None
    """When it was last asked how much energy it has used in all, in seconds, and the answer in joules."""

    def __post_init__(self) -> None:
        nv = self.pynvml
        parent = parent_of(nv, self.handle)
        self.whole = self.handle if parent is None else parent
        self.activity = GpuActivity.of(nv, self.whole, None if parent is None else self.handle)
        memory = self._ask(nv.nvmlDeviceGetMemoryInfo)
        self.device = Device(
            name=self._ask(nv.nvmlDeviceGetName) or "GPU",
            uuid=self._ask(nv.nvmlDeviceGetUUID) or "",
            memory=None if memory is None else memory.total,
        )
        self.energy = self._joules()

    def sample(self) -> GpuSample:
        nv = self.pynvml
        active = self.activity.since_last() if self.activity else {}
        memory = self._ask(nv.nvmlDeviceGetMemoryInfo)
        return GpuSample(
            busy=active["busy"] if "busy" in active else self._busy(),
            sm=active.get("sm"),
            tensor=active.get("tensor"),
            memory=None if memory is None else memory.used,
            power=self._power(),
            temperature=answer(nv, nv.nvmlDeviceGetTemperature, self.whole, nv.NVML_TEMPERATURE_GPU),
            throttled=self._throttle_reasons(),
        )

    def close(self) -> None:
        if self.activity:
            self.activity.close()

    def _ask(self, question: Any) -> Any:
        return answer(self.pynvml, question, self.handle)

    def _busy(self) -> float | None:
        """In the last second or less, which is all that a GPU without GPM tells; a part of one tells nothing."""
        rates = self._ask(self.pynvml.nvmlDeviceGetUtilizationRates)
        return None if rates is None else rates.gpu / 100

    def _power(self) -> float | None:
        """Watts since the last call, or now if the GPU does not count its energy; None for a part of a GPU."""
        before, self.energy = self.energy, self._joules()
        if before and self.energy and self.energy[1] >= before[1] and self.energy[0] - before[0] > 0.5:
            return (self.energy[1] - before[1]) / (self.energy[0] - before[0])
        milliwatts = self._ask(self.pynvml.nvmlDeviceGetPowerUsage)
        return None if milliwatts is None else milliwatts / 1000

    def _joules(self) -> tuple[float, float] | None:
        millijoules = self._ask(self.pynvml.nvmlDeviceGetTotalEnergyConsumption)
        return None if millijoules is None else (time.monotonic(), millijoules / 1000)

    def _throttle_reasons(self) -> tuple[str, ...] | None:
        bits = clock_reasons(self.pynvml, self.whole)
        return None if bits is None else tuple(reason for reason, mask in THROTTLE_BITS.items() if bits & mask)
