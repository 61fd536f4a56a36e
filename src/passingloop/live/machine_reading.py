"""What this machine's CPUs, memory and GPUs do: shown where there is no Slurm."""

from __future__ import annotations

from passingloop.live.board import Machine, MachineGpu
from passingloop.sampling.gpu_meter import GpuMeter

MOST_GPUS = 32
"""In one machine; those that are not there are left out."""

FIRST_SECONDS = 0.1
"""For so long the CPUs are measured at first."""


class MachineReader:
    """Asks the machine anew at each call; shares are those since the last call."""

    def __init__(self) -> None:
        self._meter: GpuMeter | None = None

    def __call__(self) -> Machine:
        import psutil  # only where there is no Slurm

        is_first = self._meter is None
        if self._meter is None:
            self._meter = GpuMeter([str(number) for number in range(MOST_GPUS)])
        memory = psutil.virtual_memory()
        gpus = zip(self._meter.devices, self._meter.sample(), strict=True)
        return Machine(
            cpus=psutil.cpu_count() or 1,
            cpu_busy=psutil.cpu_percent(interval=FIRST_SECONDS if is_first else None) / 100,
            memory=float(memory.total - memory.available),
            memory_total=float(memory.total),
            gpus=tuple(
                MachineGpu(
                    name=device.name,
                    busy=sample.busy,
                    memory=sample.memory,
                    memory_total=device.memory,
                    power=sample.power,
                    temperature=sample.temperature,
                )
                for device, sample in gpus
            ),
        )
