"""What GPUs do, asked through nvidia-ml-py of a stand-in for the driver's library: see tests/tools/nvml_stand_in.py."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from passingloop.rundir.samples import Device, GpuSample
from passingloop.sampling import gpu_meter
from passingloop.sampling.gpu_meter import GpuMeter
from passingloop.sampling.nvml import gpu_names
from tests.tools.nvml_stand_in import (
    ECC,
    ENERGY,
    FINITE,
    GIB,
    GPU_IS_LOST,
    MEMORY,
    POWER,
    TEMPERATURE,
    TENSOR,
    THROTTLING,
    UTILISATION,
    VERSION_MISMATCH,
    NvmlStandIn,
)


def test_a_gpu_with_performance_counters(nvml: NvmlStandIn) -> None:
    nvml.add_gpu(reasons=0x04 | 0x01)
    with GpuMeter(["0"]) as meter:
        assert meter.devices == (Device(name="Stand-in H200", uuid="GPU-00000000-stand-in", memory=141 * GIB),)
        (sample,) = meter.sample()
    everything = {"busy": 0.8, "sm": 0.6, "tensor": 0.3, "memory": 40 * GIB, "power": 500.0, "temperature": 55}
    assert sample == GpuSample(**everything, throttled=("power",))
    assert nvml.state.opened == 0


def test_a_gpu_without_performance_counters_tells_its_utilisation_only(nvml: NvmlStandIn) -> None:
    nvml.add_gpu(gpm=0, busy=97)
    with GpuMeter(["0"]) as meter:
        (sample,) = meter.sample()
    assert (sample.busy, sample.sm, sample.tensor) == (0.97, None, None)


@pytest.mark.parametrize("unsupported", [TENSOR, FINITE])
def test_a_counter_that_has_no_number_is_absent(nvml: NvmlStandIn, unsupported: int) -> None:
    gpu = nvml.add_gpu(unsupported=unsupported)
    with GpuMeter(["0"]) as meter:
        (sample,) = meter.sample()
        assert sample.tensor is None
        assert sample.busy == 0.8
        gpu.unsupported = 0
        assert meter.sample()[0].tensor == 0.3


def test_what_a_gpu_does_not_support_is_absent_and_not_zero(nvml: NvmlStandIn) -> None:
    nvml.add_gpu(gpm=0, unsupported=MEMORY | UTILISATION | POWER | ENERGY | TEMPERATURE | THROTTLING | ECC)
    with GpuMeter(["0"]) as meter:
        assert meter.devices[0].memory is None
        assert meter.sample() == (GpuSample(),)


def test_a_gpu_that_is_lost_is_absent_from_then_on_and_the_others_are_not(nvml: NvmlStandIn) -> None:
    lost, _ = nvml.add_gpu(), nvml.add_gpu(busy=50)
    with GpuMeter(["0", "1"]) as meter:
        assert [gpu.busy for gpu in meter.sample()] == [0.8, 0.5]
        lost.error = GPU_IS_LOST
        for _ in range(2):
            first, second = meter.sample()
            assert first == GpuSample()
            assert second.busy == 0.5


def test_power_is_what_was_used_since_the_last_time(nvml: NvmlStandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([100.0, 110.0, 115.0, 120.0])
    monkeypatch.setattr(gpu_meter, "time", SimpleNamespace(monotonic=lambda: next(clock)))
    gpu = nvml.add_gpu(millijoules=5_000_000)
    with GpuMeter(["0"]) as meter:
        gpu.millijoules += 4_200_000
        assert meter.sample()[0].power == 420.0
        gpu.millijoules = 7  # the driver was loaded anew
        assert meter.sample()[0].power == 500.0
        gpu.millijoules += 1_000_000
        assert meter.sample()[0].power == 200.0


def test_only_the_gpus_of_the_job_are_asked(nvml: NvmlStandIn) -> None:
    for busy in (10, 20, 30):
        nvml.add_gpu(busy=busy)
    for names, busy in (
        (["1"], [0.2]),
        (["2", "0"], [0.3, 0.1]),
        (["GPU-20000000-stand-in"], [0.3]),
        (["GPU-2"], [0.3]),  # CUDA takes an abbreviation that is unique
        (["GPU-"], []),
        (["7", "GPU-unknown", "0"], [0.1]),
        ([], []),
    ):
        with GpuMeter(names) as meter:
            assert [gpu.busy for gpu in meter.sample()] == busy


def test_a_part_of_a_gpu(nvml: NvmlStandIn) -> None:
    """It has counters and memory of its own; heat is that of the whole GPU, and the power of a part nobody knows."""
    nvml.add_gpu(mig=1, busy=99, celsius=61, reasons=0x40)
    nvml.add_part(0, instance=7, busy=40, sm=20, tensor=10)
    nvml.add_part(0, instance=9, busy=130, sm=131, tensor=0)  # as some drivers have it
    with GpuMeter(["MIG-20000000-stand-in", "MIG-10000000-stand-in"]) as meter:
        assert [device.name for device in meter.devices] == ["Stand-in H200 MIG 1g.18gb"] * 2
        second, first = meter.sample()
    shared = {"memory": 4 * GIB, "power": None, "temperature": 61, "throttled": ("heat",)}
    assert first == GpuSample(busy=0.4, sm=0.2, tensor=0.1, **shared)
    assert second == GpuSample(busy=1.0, sm=1.0, tensor=0.0, **shared)


def test_of_a_divided_gpu_the_first_part_is_used_as_cuda_does(nvml: NvmlStandIn) -> None:
    nvml.add_gpu(mig=1)
    nvml.add_part(0, instance=3, busy=12)
    nvml.add_part(0, instance=4, busy=77)
    with GpuMeter(["0"]) as meter:
        assert [device.uuid for device in meter.devices] == ["MIG-10000000-stand-in"]
        assert meter.sample()[0].busy == 0.12


def test_a_part_without_counters_tells_its_memory(nvml: NvmlStandIn) -> None:
    nvml.add_gpu(mig=1, gpm=0)
    nvml.add_part(0, instance=1)
    with GpuMeter(["MIG-10000000-stand-in"]) as meter:
        (sample,) = meter.sample()
    assert (sample.busy, sample.sm, sample.memory) == (None, None, 4 * GIB)


def test_a_driver_that_refuses_has_no_gpus(nvml: NvmlStandIn) -> None:
    nvml.add_gpu()
    nvml.state.init = VERSION_MISMATCH
    with GpuMeter(["0"]) as meter:
        assert (meter.devices, meter.sample()) == ((), ())


def test_without_a_driver_there_are_no_gpus() -> None:
    """In a process of its own, where nothing stands for the library, as on a node without GPUs."""
    program = "from passingloop.sampling.gpu_meter import GpuMeter; m = GpuMeter(['0']); print(m.devices, m.sample())"
    environment = {name: value for name, value in os.environ.items() if name != "LD_LIBRARY_PATH"}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    if "NVIDIA" in done.stdout:
        pytest.skip("this machine has a GPU")
    assert done.stdout == "() ()\n"


@pytest.mark.skipif(not Path("/proc/driver/nvidia/gpus").exists(), reason="this machine has no NVIDIA GPU")
def test_a_real_gpu_with_its_own_library() -> None:
    with GpuMeter(["0"]) as meter:
        (device,) = meter.devices
        time.sleep(1)
        (sample,) = meter.sample()
    assert device.uuid.startswith(("GPU-", "MIG-"))
    assert device.memory
    assert sample.memory is not None
    assert 0 <= sample.memory <= device.memory
    for share in (sample.busy, sample.sm, sample.tensor):
        assert share is None or 0.0 <= share <= 1.0
    assert sample.temperature is None or 0 < sample.temperature < 120
    assert sample.power is None or 0 < sample.power < 2000


@pytest.mark.parametrize(
    ("visible", "names"),
    [
        ("", []),
        ("0,1", ["0", "1"]),
        (" 3 , GPU-ab,MIG-c", ["3", "GPU-ab", "MIG-c"]),
        ("1,-1,2", ["1"]),
        ("NoDevFiles", []),
    ],
)
def test_names_as_cuda_reads_them(visible: str, names: list[str]) -> None:
    assert gpu_names(visible) == names
