"""How active a GPU, or a part of one, has been: its performance counters, which NVML's GPM reads from Hopper on.

Plain utilisation tells whether anything runs on the GPU, also if that only waits for other GPUs; these tell how much of
it works.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from passingloop.sampling.nvml import answer


@dataclass(slots=True)
class GpuActivity:
    """The activity of a GPU between two calls."""

    pynvml: Any
    gpu: Any
    """The handle of the whole GPU."""
    part: int | None
    """The number of the GPU instance that is asked, of a GPU that is divided (MIG); None asks the whole."""
    before: Any
    now: Any
    """Two buffers of NVML for counters; they take turns."""
    is_filled: bool = False
    """Whether `before` has counters."""

    @classmethod
    def of(cls, pynvml: Any, gpu: Any, part: Any) -> GpuActivity | None:
        """That of `gpu`, or of its `part`, another handle; None if it has no such counters, as before Hopper."""
        support = answer(pynvml, pynvml.nvmlGpmQueryDeviceSupport, gpu)
        number = None if part is None else answer(pynvml, pynvml.nvmlDeviceGetGpuInstanceId, part)
        if not support or not support.isSupportedDevice or (part is not None and number is None):
            return None
        buffers = [answer(pynvml, pynvml.nvmlGpmSampleAlloc) for _ in range(2)]
        if None in buffers:
            return None
        made = cls(pynvml, gpu, number, *buffers)
        made.is_filled = made._fill(made.before)
        return made

    def since_last(self) -> dict[str, float]:
        """The shares, 0 to 1, of ``busy``, ``sm`` and ``tensor`` since the last call, as far as they are known."""
        was_filled, self.is_filled = self.is_filled, self._fill(self.now)
        shares = self._shares() if was_filled and self.is_filled else {}
        self.before, self.now = self.now, self.before
        return shares

    def close(self) -> None:
        """Give the buffers back."""
        for buffer in (self.before, self.now):
            answer(self.pynvml, self.pynvml.nvmlGpmSampleFree, buffer)

    def _fill(self, buffer: Any) -> bool:
        nv = self.pynvml
        if self.part is None:
            return answer(nv, nv.nvmlGpmSampleGet, self.gpu, buffer) is not None
        return answer(nv, nv.nvmlGpmMigSampleGet, self.gpu, self.part, buffer) is not None

    def _shares(self) -> dict[str, float]:
        """Percents as shares. With MIG some drivers show up to 130 % (github.com/NVIDIA/DCGM/issues/152)."""
        nv = self.pynvml
        metrics = {
            "busy": nv.NVML_GPM_METRIC_GRAPHICS_UTIL,
            "sm": nv.NVML_GPM_METRIC_SM_UTIL,
            "tensor": nv.NVML_GPM_METRIC_ANY_TENSOR_UTIL,
        }
        wanted = nv.c_nvmlGpmMetricsGet_t()
        wanted.version, wanted.sample1, wanted.sample2 = nv.NVML_GPM_METRICS_GET_VERSION, self.before, self.now
        wanted.numMetrics = len(metrics)
        for place, number in enumerate(metrics.values()):
            wanted.metrics[place].metricId = number
        if answer(nv, nv.nvmlGpmMetricsGet, wanted) is None:
            return {}
        found = zip(metrics, wanted.metrics, strict=False)
        return {
            name: min(1.0, max(0.0, metric.value / 100))
            for name, metric in found
            if metric.nvmlReturn == nv.NVML_SUCCESS and math.isfinite(metric.value)
        }
