"""How many runs fit side by side, by what one alone was measured to use."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from passingloop.attempts import sharing
from passingloop.attempts.sharing import Use, measure, members_that_fit
from passingloop.rundir.directory import RunDir
from tests.tools.nvml_stand_in import MEMORY, UTILISATION, NvmlStandIn, Unit

MIB = 2**20


@pytest.mark.parametrize(
    ("memory", "busy", "most", "count"),
    [
        (1_000, 0.10, 4, 4),
        (1_000, 0.10, 8, 8),
        (1_000, 0.30, 4, 3),
        (1_000, 0.45, 4, 2),
        (1_000, 0.80, 4, 1),
        (1_000, 1.00, 4, 1),
        (1_000, 0.00, 4, 4),
        (30_000, 0.10, 4, 2),  # 3 × 30 GB would leave no room
        (46_000, 0.10, 4, 1),
        (99_000, 0.10, 4, 1),
        (0, 0.10, 4, 4),
    ],
)
def test_memory_is_a_limit_and_so_is_a_device_that_is_busy(memory: int, busy: float, most: int, count: int) -> None:
    assert members_that_fit(Use(memory=memory, total=80_000, busy=busy, gpu=True), most) == count


@pytest.fixture
def gpu(nvml: NvmlStandIn, monkeypatch: pytest.MonkeyPatch) -> Unit:
    """The GPU of the job, in a library that stands in for the driver's. It is measured at once."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    monkeypatch.setattr(sharing, "PERIOD", 0.0)
    return nvml.add_gpu(used=1500 * MIB, total=81_559 * MIB, busy=40)


@pytest.mark.usefixtures("gpu")
def test_the_drivers_figures(tmp_path: Path) -> None:
    use = measure(RunDir(tmp_path))
    assert use == Use(memory=1500, total=81_559, busy=pytest.approx(0.4), gpu=True)
    assert str(use) == "1.5 of 79.6 GB, and the GPU for 40% of the time"


@pytest.mark.parametrize(("gpm", "missing"), [(1, MEMORY), (0, UTILISATION)])
def test_a_figure_that_is_missing_is_not_zero(gpu: Unit, gpm: int, missing: int, tmp_path: Path) -> None:
    """Then the CPUs are measured."""
    gpu.gpm, gpu.unsupported = gpm, missing
    assert not measure(RunDir(tmp_path)).gpu


def test_a_run_on_cpus_is_measured_by_its_processes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process named as a training process is, with 200 MB and one busy thread on a node of four CPUs."""
    run = RunDir(tmp_path / "run")
    program = "memory = bytearray(200_000_000)\nprint('ready', flush=True)\nwhile True: pass"
    busy = subprocess.Popen(
        [sys.executable, "-c", program, "passingloop.job", str(run.path)], stdout=subprocess.PIPE, text=True
    )
    assert busy.stdout
    assert busy.stdout.readline() == "ready\n"
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    monkeypatch.setattr(sharing, "PERIOD", 0.1)
    monkeypatch.setenv("SLURM_CPUS_ON_NODE", "4")
    monkeypatch.setenv("SLURM_MEM_PER_NODE", "1000")
    try:
        use = measure(run)
    finally:
        busy.kill()
        busy.communicate()
    assert 190 <= use.memory <= 300
    assert use.total == 1000
    assert 0 < use.busy <= 0.3
    assert not use.gpu
    assert use.memory < os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**20
