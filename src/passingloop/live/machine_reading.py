"""What this machine's CPUs, memory and GPUs do: shown where there is no Slurm."""

from __future__ import annotations

from passingloop.live.board import Machine, MachineGpu


class MachineReader:
    """Asks the machine anew at each call; the use of CPUs is that since the last call."""

    def __init__(self) -> None:
        self._has_asked = False

    def __call__(self) -> Machine:
        import psutil

        busy = psutil.cpu_percent() / 100 if self._has_asked else psutil.cpu_percent(interval=0.1) / 100
        self._has_asked = True
        memory = psutil.virtual_memory()
        return Machine(
            cpus=psutil.cpu_count() or 1,
            cpu_busy=busy,
            memory=float(memory.total - memory.available),
            memory_total=float(memory.total),
            gpus=self._gpus(),
        )

    def _gpus(self) -> tuple[MachineGpu, ...]:
        return ()
