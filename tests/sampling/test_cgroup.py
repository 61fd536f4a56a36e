"""What a step's control group has used: in folders as the kernel shows them, and in a real one where it can be made."""

from __future__ import annotations

import contextlib
import os
import secrets
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from passingloop.sampling.cgroup import StepGroup
from passingloop.sampling.host_meter import HostMeter

GIB = 2**30

V2_FILES = {
    "cpu.stat": "usage_usec 2500000\nuser_usec 2000000\nsystem_usec 500000\n",
    "memory.current": f"{10 * GIB}\n",
    "memory.stat": f"anon {5 * GIB}\nfile {5 * GIB}\nshmem {GIB}\nactive_file {GIB}\ninactive_file {3 * GIB}\n",
    "memory.max": "max\n",
    "io.stat": "8:0 rbytes=100 wbytes=7 rios=3 wios=1 dbytes=0 dios=0\n259:0 rbytes=20 wbytes=3 rios=1 wios=1\n",
    "cgroup.procs": "",
}
V1_FILES = {
    "cpuacct": {"cpuacct.usage": "2500000000\n"},
    "memory": {
        "memory.usage_in_bytes": f"{10 * GIB}\n",
        "memory.stat": f"cache 1\ntotal_active_file {GIB}\ntotal_inactive_file {3 * GIB}\n",
        "memory.limit_in_bytes": "9223372036854771712\n",
        "cgroup.procs": "",
    },
    "blkio": {
        "blkio.throttle.io_service_bytes_recursive": "8:0 Read 100\n8:0 Write 7\n8:0 Total 107\n"
        "9:1 Read 20\n9:1 Write 3\nTotal 130\n"
    },
}


def write(folder: Path, files: dict[str, str]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name).write_text(content)


def process(folder: Path, groups: str, mounts: list[str]) -> Path:
    """A folder as /proc/self, of a process in `groups`."""
    lines = [f"{number} 25 0:{number} {mount}" for number, mount in enumerate(mounts, 30)]
    write(folder, {"cgroup": groups, "mountinfo": "\n".join(["22 1 8:1 / / rw - ext4 /dev/sda1 rw", *lines])})
    return folder


def unified(root: Path, path: str, mounted: str = "/") -> Path:
    return process(
        root / "proc", f"0::{path}\n", [f"{mounted} {root}/cgroup rw shared:9 - cgroup2 cgroup2 rw,nsdelegate"]
    )


@pytest.mark.parametrize(
    "job",
    [
        "/system.slice/slurmstepd.scope/job_12",
        "/system.slice/slurmstepd.scope/sEKNKTV3WPV500",  # the SLUID, from 26.05
        "/system.slice/n1_slurmstepd.scope/job_12",  # several slurmd on one machine
    ],
)
@pytest.mark.parametrize(
    "below", ["/step_0/user/task_0", "/step_batch/user/task_special", "/step_extern", "/step_0/user"]
)
def test_v2_whatever_the_job_is_called(tmp_path: Path, job: str, below: str) -> None:
    step = tmp_path / "cgroup" / f"{job}/{below.split('/')[1]}".lstrip("/")
    write(step, V2_FILES)
    write(step / "user/task_0", {"cgroup.procs": "41\n42\n"})
    write(step.parent, {"memory.max": f"{64 * GIB}\n"})
    group = StepGroup.of_process(unified(tmp_path, job + below))
    assert group
    assert group.cpu_seconds() == 2.5
    assert group.memory() == 6 * GIB
    assert group.memory_limit() == 64 * GIB
    assert group.transferred() == (120, 10)
    assert group.processes() == {41, 42}


def test_v1_with_a_hierarchy_for_each_controller(tmp_path: Path) -> None:
    path = "/slurm/uid_1000/job_12/step_0"
    for controller, files in V1_FILES.items():
        write(tmp_path / controller / path[1:], files)
    write(tmp_path / "memory" / path[1:] / "task_0", {"cgroup.procs": "41\n"})
    write(tmp_path / "memory/slurm/uid_1000/job_12", {"memory.limit_in_bytes": f"{64 * GIB}\n"})
    groups = (
        f"9:name=systemd:/system.slice/slurmd.service\n4:memory:{path}/task_0\n3:cpu,cpuacct:{path}/task_0\n"
        f"2:blkio:{path}\n1:pids:/\n0::/\n"
    )
    mounts = [
        f"/ {tmp_path}/memory rw - cgroup cgroup rw,memory",
        f"/ {tmp_path}/cpuacct rw - cgroup cgroup rw,cpu,cpuacct",
        f"/ {tmp_path}/blkio rw - cgroup cgroup rw,blkio",
        f"/ {tmp_path}/unified rw - cgroup2 cgroup2 rw",
    ]
    group = StepGroup.of_process(process(tmp_path / "proc", groups, mounts))
    assert group
    assert (group.cpu_seconds(), group.memory(), group.memory_limit()) == (2.5, 6 * GIB, 64 * GIB)
    assert group.transferred() == (120, 10)
    assert group.processes() == {41}


def test_where_v1_confines_memory_only_the_rest_is_absent(tmp_path: Path) -> None:
    path = "/slurm/uid_1000/job_12/step_0"
    write(tmp_path / "memory" / path[1:], V1_FILES["memory"])
    mounts = [f"/ {tmp_path}/memory rw - cgroup cgroup rw,memory"]
    group = StepGroup.of_process(process(tmp_path / "proc", f"4:memory:{path}\n3:cpuacct:/\n", mounts))
    assert group
    assert (group.cpu_seconds(), group.memory(), group.memory_limit()) == (None, 6 * GIB, None)
    assert group.transferred() is None


@pytest.mark.parametrize("missing", list(V2_FILES))
def test_a_controller_that_is_off_is_absent_and_not_zero(tmp_path: Path, missing: str) -> None:
    """Slurm does not turn on io, for one, so the kernel shows no io.stat in its groups."""
    path = "/system.slice/slurmstepd.scope/job_1/step_0"
    write(tmp_path / "cgroup" / path[1:], {name: text for name, text in V2_FILES.items() if name != missing})
    group = StepGroup.of_process(unified(tmp_path, path))
    assert group
    found = {
        "cpu.stat": group.cpu_seconds(),
        "memory.current": group.memory(),
        "io.stat": group.transferred(),
        "memory.max": group.memory_limit(),
    }
    expected = {"cpu.stat": 2.5, "memory.current": 6 * GIB, "io.stat": (120, 10), "memory.max": None}
    if missing == "memory.stat":
        expected["memory.current"] = 10 * GIB
    else:
        expected[missing] = None
    assert found == {name: expected[name] for name in found}


@pytest.mark.parametrize(
    "path", ["/", "/user.slice/user-1000.slice/session-3.scope", "/docker/4cf8", "/system.slice/slurmd.service"]
)
def test_outside_of_a_step_there_is_no_group(tmp_path: Path, path: str) -> None:
    write(tmp_path / "cgroup" / path[1:], V2_FILES)
    assert StepGroup.of_process(unified(tmp_path, path)) is None


def test_a_group_that_a_container_hides_is_none(tmp_path: Path) -> None:
    path = "/system.slice/slurmstepd.scope/job_1/step_0"
    assert StepGroup.of_process(unified(tmp_path, path)) is None
    assert StepGroup.of_process(unified(tmp_path, path, mounted="/other")) is None
    assert StepGroup.of_process(tmp_path / "no-proc") is None


def test_only_a_part_of_the_hierarchy_may_be_mounted(tmp_path: Path) -> None:
    path = "/system.slice/slurmstepd.scope/job_1/step_0"
    write(tmp_path / "cgroup/job_1/step_0", V2_FILES)
    group = StepGroup.of_process(unified(tmp_path, path + "/user/task_0", mounted="/system.slice/slurmstepd.scope"))
    assert group
    assert group.cpu_seconds() == 2.5


@pytest.fixture
def step(tmp_path: Path) -> Iterator[list[Path]]:
    """The folders of a real group of cgroup v1, named as Slurm names a step's."""
    folders = []
    name = f"passingloop-{secrets.token_hex(4)}"
    try:
        for controller in ("cpuacct", "memory"):
            folder = Path("/sys/fs/cgroup") / controller / name / "job_1/step_0/task_0"
            folder.mkdir(parents=True)
            folders.append(folder)
    except OSError:
        pytest.skip("groups of cgroup v1 cannot be made here")
    yield folders
    for folder in folders:
        for each in (folder, *list(folder.parents)[:3]):
            with contextlib.suppress(OSError):
                each.rmdir()


def test_a_process_in_a_real_group(step: list[Path]) -> None:
    """One with 200 MB that computes for a while, reads and ends; and what it started is gone before it."""
    program = (
        "import os, subprocess, sys, time\n"
        "input()\n"
        "memory = bytearray(b'x') * 200_000_000\n"
        "subprocess.run([sys.executable, '-c', 'sum(range(20_000_000))'])\n"
        "print('ready', flush=True); input()\n"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
    )
    assert child.stdin
    assert child.stdout
    try:
        for folder in step:
            (folder / "cgroup.procs").write_text(str(child.pid))
        meter = HostMeter(os.getpid(), Path(f"/proc/{child.pid}"))
        child.stdin.write("\n")
        assert child.stdout.readline() == "ready\n"
        use = meter.sample()
        usage = int((step[0].parent / "cpuacct.usage").read_text()) / 1e9
    finally:
        child.kill()
        child.communicate()
    assert use.memory
    assert 190e6 < use.memory < 300e6
    assert use.cpus
    assert use.cpus <= 1.5
    assert usage > 0.1
