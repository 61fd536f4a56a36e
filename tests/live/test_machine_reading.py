"""This machine, as the live view shows it where there is no Slurm."""

from __future__ import annotations

import threading

import psutil

from passingloop.live.board import MachineGpu
from passingloop.live.machine_reading import MachineReader
from tests.tools.nvml_stand_in import ENERGY, GIB, MEMORY, POWER, TEMPERATURE, UTILISATION, NvmlStandIn


def test_this_machine() -> None:
    read = MachineReader()
    for machine in (read(), read()):
        assert machine.cpus == psutil.cpu_count()
        assert machine.cpu_busy is not None
        assert 0.0 <= machine.cpu_busy <= 1.0
        assert 0 < machine.memory < machine.memory_total == psutil.virtual_memory().total


def test_its_gpus(nvml: NvmlStandIn) -> None:
    """What a stand-in for the driver's library says; a GPU that tells nothing is shown without figures."""
    nvml.add_gpu()
    nvml.add_gpu(gpm=0, unsupported=UTILISATION | POWER | TEMPERATURE | MEMORY | ENERGY)
    first, second = MachineReader()().gpus
    assert first == MachineGpu(
        name="Stand-in H200", busy=0.8, memory=40 * GIB, memory_total=141 * GIB, power=500.0, temperature=55
    )
    assert (second.busy, second.memory, second.power, second.temperature) == (None, None, None, None)


def test_the_first_look_measures_for_a_moment() -> None:
    """The use since the last look would be nothing, if that was just now."""
    ended = threading.Event()

    def compute() -> None:
        while not ended.is_set():
            sum(range(1000))

    worker = threading.Thread(target=compute)
    worker.start()
    try:
        machine = MachineReader()()
    finally:
        ended.set()
        worker.join()
    assert machine.cpu_busy
