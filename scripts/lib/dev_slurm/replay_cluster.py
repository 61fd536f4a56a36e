"""A cluster for replaying traces: private, unpatched, with users of its own, and with a clock that can be set.

It runs as root: jobs of many users start only there. The users exist for its processes alone, by nss_wrapper, and so
does the time, by `fast_clock.c`.
"""

import contextlib
import json
import math
import mmap
import os
import shutil
import signal
import struct
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Protocol

from . import daemons, files, packages, trees
from .folder import Folder, Shape
from .ports import free_ports
from .processes import VARIABLES, search_path
from .words import Stop, say

FIRST_UID = 30000
GROUP = 30000
PACKAGES = ("libnss-wrapper", "gcc", "libc6-dev")
WRAPPERS = ("/usr/lib/*/libnss_wrapper.so", "/usr/lib64/libnss_wrapper.so", "/usr/lib/libnss_wrapper.so")
CLOCK = struct.Struct("=Qqqqddqd")
"""The file that `fast_clock.c` reads."""
SECOND = 1_000_000_000

OWN = {
    "AuthType": "auth/munge",
    "SlurmdParameters": "config_overrides",
    "ProctrackType": "proctrack/linuxproc",
    "TaskPlugin": "task/none",
    "SwitchType": "switch/none",
    "MpiDefault": "none",
    "MailProg": "/bin/true",
    "ReturnToService": "2",
    "SlurmdTimeout": "0",
    # A second of these is a few milliseconds.
    "MessageTimeout": "60000",
    "TCPTimeout": "60000",
    "BatchStartTimeout": "60000",
    "UnkillableStepTimeout": "60000",
    "InactiveLimit": "0",
    "JobAcctGatherType": "jobacct_gather/none",
    "JobAcctGatherFrequency": "0",
    "GresTypes": "gpu",
    "MaxJobCount": "200000",
    "MaxArraySize": "1001",
    "AccountingStorageType": "accounting_storage/slurmdbd",
    "AccountingStorageHost": "127.0.0.1",
    # What the replay follows its jobs by.
    "SlurmctldDebug": "info",
    "SlurmdDebug": "error",
}
"""Settings that a private cluster on one machine needs, whatever a policy says."""


class Node(Protocol):
    """One node of a cluster to make."""

    @property
    def gpus(self) -> int: ...

    @property
    def cpus(self) -> int: ...


class Clock:
    """The time of the cluster's processes. One at a time changes it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.write_bytes(bytes(CLOCK.size))
        path.chmod(0o644)
        with path.open("r+b") as opened:
            self._file = mmap.mmap(opened.fileno(), CLOCK.size)
        self._turn = 0
        self._lock = threading.Lock()
        self._machine, self._time = time.monotonic_ns(), time.time_ns()
        self._begin = self._time - self._machine
        self._until, self._rate, self._after = 1 << 62, 1.0, 1.0
        self._fastest = math.inf
        self._write()

    def now(self) -> float:
        """Seconds since 1970."""
        return self._now(time.monotonic_ns()) / SECOND

    def limit(self, fastest: float) -> None:
        """No rate will be above this one, so that processes in a long wait need not look at the time often."""
        with self._lock:
            self._fastest = fastest
            self._write()

    def go(self, rate: float, until: float | None = None, after: float = 1.0) -> None:
        """Let the time go at `rate`, from `until` on at `after`."""
        if max(rate, after) > self._fastest:
            raise ValueError(f"A rate of {max(rate, after):g} is above the limit of {self._fastest:g}.")
        with self._lock:
            machine = time.monotonic_ns()
            self._time, self._machine = self._now(machine), machine
            self._until = 1 << 62 if until is None else int(until * SECOND)
            self._rate, self._after = rate, after
            self._write()

    def _now(self, machine: int) -> int:
        passed = machine - self._machine
        now = self._time + int(passed * self._rate)
        if now <= self._until:
            return now
        turned = max(self._until, self._time)
        return turned + int((passed - (turned - self._time) / self._rate) * self._after)

    def _write(self) -> None:
        self._turn += 2
        self._file[:8] = struct.pack("=Q", self._turn - 1)
        values = (self._machine, self._time, self._until, self._rate, self._after, self._begin, self._fastest)
        self._file[8:] = CLOCK.pack(0, *values)[8:]
        self._file[:8] = struct.pack("=Q", self._turn)


@dataclass(frozen=True)
class ReplayCluster:
    """One that runs."""

    place: Path
    clock: Clock
    user_ids: Mapping[str, int]
    group_id: int = GROUP

    @property
    def variables(self) -> dict[str, str]:
        """For commands that talk to it."""
        own = {"SLURM_CONF": f"{self.place}/etc/slurm.conf", "PATH": search_path(self.place)}
        return {**own, **users_of(self.place), "SLURM_TIME_FORMAT": "%s"}

    @property
    def job_variables(self) -> dict[str, str]:
        """For programs in its jobs that follow its clock."""
        return {"LD_PRELOAD": f"{self.place}/run/fast_clock.so", "REPLAY_CLOCK": str(self.clock.path)}

    @property
    def log(self) -> Path:
        """Of slurmctld."""
        return self.place / "log/slurmctld.log"


@contextlib.contextmanager
def replay_cluster(
    *,
    name: str,
    nodes: Sequence[Node],
    settings: Mapping[str, str],
    partitions: Sequence[str],
    users: Sequence[str],
    release: str | None = None,
) -> Iterator[ReplayCluster]:
    """A cluster that is gone afterwards, with all its processes and files.

    Args:
        nodes: for each node how many GPUs and CPUs it has.
        settings: lines of slurm.conf that a policy wants.
        partitions: whole lines of slurm.conf.
        users: names; they get ids from `FIRST_UID` on.
        release: of Slurm, one of `trees.DEBIAN`; None for the installed one.

    Raises:
        Stop: something is missing, or a daemon does not start.
    """
    if os.geteuid() != 0:
        raise Stop("A trace is replayed with jobs of many users, which only root can start. Do: call this as root.")
    packages.install_missing()
    packages.install(PACKAGES, missing)
    handlers = {number: signal.signal(number, end) for number in (signal.SIGTERM, signal.SIGHUP)}
    handlers[signal.SIGINT] = signal.getsignal(signal.SIGINT)
    folder = Folder(Path(tempfile.mkdtemp(prefix="passingloop-replay-", dir="/tmp")))  # sockets have short paths
    try:
        folder.path.chmod(0o755)
        with folder.turn():
            trees.link(release or trees.installed(), folder.place / "bin")
            yield make(folder, name, nodes, settings, partitions, users)
    finally:
        for number in handlers:
            signal.signal(number, signal.SIG_IGN)
        daemons.stop_all(folder.place)
        shutil.rmtree(folder.path)
        for number, handler in handlers.items():
            signal.signal(number, handler)


def end(number: int, frame: FrameType | None) -> None:
    """Leave with the exit code that a shell shows of a process which the signal has ended."""
    raise SystemExit(128 + number)


def missing() -> list[str]:
    lacking = [] if packages.find("cc") else ["gcc", "libc6-dev"]
    return lacking if wrapper() else [*lacking, "libnss-wrapper"]


def wrapper() -> str | None:
    """The library that gives processes users of their own."""
    return next((str(path) for one in WRAPPERS for path in sorted(Path("/").glob(one[1:]))), None)


def make(
    folder: Folder,
    name: str,
    nodes: Sequence[Node],
    settings: Mapping[str, str],
    partitions: Sequence[str],
    users: Sequence[str],
) -> ReplayCluster:
    place = folder.place
    most = max(node.gpus for node in nodes)
    sizes = {"nodes": len(nodes), "gpus": max(1, most), "cpus": nodes[0].cpus}
    shape = Shape(**sizes, release=trees.installed(), port=free_ports(len(nodes) + 2))
    say(f"starting a private cluster of {len(nodes)} nodes in {folder.path}")
    files.write_all(place, shape)
    ids = {user: FIRST_UID + number for number, user in enumerate(users)}
    write_users(place, ids)
    clock = Clock(place / "run/clock")
    compile_clock(place)
    daemon = {**users_of(place), "REPLAY_CLOCK": str(clock.path)}
    daemon["LD_PRELOAD"] = f"{place}/run/fast_clock.so {daemon['LD_PRELOAD']}"
    timed = ["slurmdbd", "slurmctld", "slurmd"]  # munge checks ages of a few minutes, and keeps to the machine's time
    (place / VARIABLES).write_text(json.dumps({**dict.fromkeys(timed, daemon), "": users_of(place)}))
    (place / "etc/gres.conf").write_text(gres_conf(place, nodes))
    (place / "etc/slurm.conf").write_text(slurm_conf(place, shape, name, nodes, settings, partitions))
    daemons.make_database(place)
    everything = daemons.roles(shape)
    daemons.start_accounting(place, shape.port + 1, everything)
    daemons.account(place, [f"add cluster {name}"])
    daemons.start_controller(place, everything)
    daemons.start_nodes(place, shape, everything)
    return ReplayCluster(place, clock, ids)


def compile_clock(place: Path) -> None:
    source = Path(__file__).with_name("fast_clock.c")
    argv = ["cc", "-O2", "-shared", "-fPIC", "-o", f"{place}/run/fast_clock.so", str(source), "-ldl", "-lpthread"]
    said = subprocess.run(argv, capture_output=True, text=True, check=False)
    if said.returncode:
        raise Stop(f"{source} cannot be compiled: {said.stderr.strip()}")


def write_users(place: Path, ids: Mapping[str, int]) -> None:
    own = "".join(f"{user}:x:{uid}:{GROUP}::/:/bin/sh\n" for user, uid in ids.items())
    (place / "etc/passwd").write_text(Path("/etc/passwd").read_text() + own)
    (place / "etc/group").write_text(Path("/etc/group").read_text() + f"replay:x:{GROUP}:\n")


def users_of(place: Path) -> dict[str, str]:
    return {
        "LD_PRELOAD": wrapper() or "",
        "NSS_WRAPPER_PASSWD": f"{place}/etc/passwd",
        "NSS_WRAPPER_GROUP": f"{place}/etc/group",
    }


def gres_conf(place: Path, nodes: Sequence[Node]) -> str:
    lines = [
        f"NodeName=n{number} Name=gpu File={place}/gpu/{files.numbered('gpu', 0, node.gpus)}\n"
        for number, node in enumerate(nodes, 1)
        if node.gpus
    ]
    return "".join(lines)


def slurm_conf(
    place: Path,
    shape: Shape,
    name: str,
    nodes: Sequence[Node],
    settings: Mapping[str, str],
    partitions: Sequence[str],
) -> str:
    own = OWN | {
        "ClusterName": name,
        "SlurmctldHost": f"{files.hostname()}(127.0.0.1)",
        "SlurmctldPort": str(shape.port),
        "SlurmUser": files.user(),
        "SlurmdUser": files.user(),
        # The time that a requeued job waits, and in which a job must have started: Slurm's own.
        "AuthInfo": f"socket={place}/run/munge,cred_expire=120",
        "StateSaveLocation": f"{place}/state",
        "SlurmdSpoolDir": f"{place}/spool/%n",
        "SlurmctldPidFile": f"{place}/run/slurmctld.pid",
        "SlurmdPidFile": f"{place}/run/slurmd-%n.pid",
        "SlurmctldLogFile": f"{place}/log/slurmctld.log",
        "SlurmdLogFile": f"{place}/log/slurmd-%n.log",
        "AccountingStoragePort": str(shape.port + 1),
        "AccountingStoragePass": f"{place}/run/munge",
    }
    settings = {**settings, **signal_at_preemption(place, settings)}
    names = {key.lower() for key in own}
    lines = [f"{key}={value}" for key, value in settings.items() if key.lower() not in names]
    lines += [f"{key}={value}" for key, value in own.items()]
    for number, node in enumerate(nodes, 1):
        gres = f" Gres=gpu:{node.gpus}" if node.gpus else ""
        lines.append(
            f"NodeName=n{number} NodeHostname={files.hostname()} NodeAddr=127.0.0.1 Port={shape.port + 1 + number} "
            f"Sockets=1 CoresPerSocket={node.cpus} ThreadsPerCore=1 RealMemory=1000{gres}"
        )
    return "\n".join([*lines, *partitions, files.plugin_dir(place)])


def signal_at_preemption(place: Path, settings: Mapping[str, str]) -> dict[str, str]:
    """A job that is one batch script is told to save when the steps of a real job are."""
    if files.slurm_release(place) < (23, 2):
        return {"SlurmctldParameters": "preempt_send_user_signal"}
    given = settings.get("PreemptParameters", "")
    return {"PreemptParameters": ",".join([*given.split(","), "send_user_signal"]).lstrip(",")}
