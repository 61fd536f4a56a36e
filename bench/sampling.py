"""What the sampling of a node costs: `python bench/sampling.py [--seconds 120] [--save]`.

The real process samples for a while at its usual interval, beside 8 busy GPUs that a stand-in for the driver's library
has (tests/tools/nvml_stand_in.c), once outside of Slurm, where it looks at the processes, and once in a control group
that is named as Slurm's, where that can be made. What is told is the CPU time that it takes after its start, as a share
of a core; its start; its memory; and the size of its file over a day. Real drivers take longer to answer: what a sample
of 8 GPUs costs with another library is in `cpu_ms_per_sample`, less what a sample without GPUs costs.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from record import ROOT, record

sys.path.insert(0, str(ROOT))

from tests.tools.nvml_stand_in import NvmlStandIn, compile_library

from passingloop.rundir.directory import RunDir
from passingloop.rundir.samples import NodeSamples, read_samples
from passingloop.sampling.sampler import start_sampler

INTERVAL = 5.0
GROUPS = [Path("/sys/fs/cgroup") / name for name in ("cpuacct", "memory")]
JOB = "passingloop-bench/job_1"


def cpu_seconds(pid: int) -> float:
    """Time on a CPU of a process so far, which has one thread."""
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) / 1e9


def resident(pid: int) -> float:
    """MB in memory."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS:")) / 1000


def samples_of(run: RunDir) -> NodeSamples | None:
    """What has been sampled until now."""
    return next(iter(read_samples(run)), None)


def measure(folder: Path, gpus: int, seconds: float) -> dict[str, float]:
    """Sample for `seconds` after the first sample."""
    os.environ["CUDA_VISIBLE_DEVICES"] = ",".join(map(str, range(gpus)))
    run = RunDir(folder)
    folder.mkdir()
    sampler = start_sampler(run, 1, INTERVAL)
    assert sampler
    while (first := samples_of(run)) is None:
        time.sleep(0.1)
    assert len(first.devices) == gpus
    began, size = time.monotonic(), run.samples_of(1, first.node).stat().st_size
    start = before = cpu_seconds(sampler.pid)
    time.sleep(seconds)
    used, memory, passed = cpu_seconds(sampler.pid) - before, resident(sampler.pid), time.monotonic() - began
    found = samples_of(run)
    assert found
    count = len(found.samples) - len(first.samples)
    grown = run.samples_of(1, first.node).stat().st_size - size
    sampler.communicate()
    return {
        "percent_of_a_core": round(100 * used / passed, 3),
        "cpu_ms_per_sample": round(1000 * used / count, 2),
        "seconds_between_samples": round(passed / count, 1),
        "start_cpu_seconds": round(start, 2),
        "memory_mb": round(memory, 1),
        "megabytes_a_day": round(grown / passed * 86_400 / 1e6, 2),
    }


def in_step() -> list[Path]:
    """Move this process into groups that are named as those of a step of Slurm; their folders, or none."""
    folders = [group / JOB / "step_0" for group in GROUPS]
    try:
        for folder in folders:
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "cgroup.procs").write_text(str(os.getpid()))
    except OSError:
        return []
    return folders


def leave(folders: list[Path]) -> None:
    """Move this process back, and remove the groups."""
    for folder in folders:
        (folder.parents[2] / "cgroup.procs").write_text(str(os.getpid()))
        for each in (folder, folder.parent, folder.parents[1]):
            each.rmdir()


def main() -> None:
    """Measure, print and record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=120.0)
    parser.add_argument("--save", action="store_true")
    seconds = parser.parse_args().seconds
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        stand_in = NvmlStandIn(compile_library(folder), folder / "nvml-state")
        for busy in range(93, 101):
            stand_in.add_gpu(busy=busy, reasons=0x04)
        os.environ.update(stand_in.environment)
        load = subprocess.Popen([sys.executable, "-c", "while True: pass"])
        figures = {f"{gpus}_gpus": measure(folder / f"{gpus}", gpus, seconds) for gpus in (0, 1, 8)}
        if folders := in_step():
            figures["8_gpus_in_a_step"] = measure(folder / "step", 8, seconds)
            leave(folders)
        load.kill()
        load.wait()
    record(
        "sampling",
        {"interval_seconds": INTERVAL, "processes_of_the_machine": len(list(Path("/proc").glob("[0-9]*"))), **figures},
    )


if __name__ == "__main__":
    main()
