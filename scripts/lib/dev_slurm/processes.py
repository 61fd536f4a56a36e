"""Which processes are the cluster's: those that say so in their environment, which none but they inherit.

Neither names nor process ids are trusted: another cluster has the same names, and an id is given to someone else in
time. The environment is there from a process's first moment, so that nothing is lost when `up` is killed halfway.
"""

import contextlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from .words import Stop

FOLDER = "PASSINGLOOP_DEV_SLURM"
ROLE = "PASSINGLOOP_DEV_SLURM_ROLE"

VARIABLES = "etc/variables.json"  # what else a cluster's processes need, by role

JOB = "job"  # what users run
STEP = "slurmstepd"  # Slurm's own around it

# Whatever the caller's shell is set to do with another cluster is not for this one.
FOREIGN = ("SLURM", "SBATCH_", "SRUN_", "SALLOC_", "SACCT", "SQUEUE_", "SINFO_", "SCONTROL_", "MYSQL_", "SCANCEL_")


@dataclass(frozen=True)
class Process:
    """A living process of the cluster."""

    pid: int
    role: str
    """a daemon's name, JOB, STEP, or `command` for what `up` calls"""


def environment(place: Path, role: str) -> dict[str, str]:
    """For a process of the cluster. MYSQL_UNIX_PORT is the only way to tell slurmdbd where MariaDB's socket is."""
    own = {name: value for name, value in os.environ.items() if not name.startswith(FOREIGN)}
    own["PATH"] = search_path(place)
    return own | {
        FOLDER: str(place),
        ROLE: role,
        "SLURM_CONF": f"{place}/etc/slurm.conf",
        "MYSQL_UNIX_PORT": f"{place}/mysql/socket",
        "LC_ALL": "C",
        **further_variables(place, role),
    }


def further_variables(place: Path, role: str) -> dict[str, str]:
    """Those that are written down for a role, all slurmd having the same, or for "", which is the commands."""
    try:
        written: dict[str, dict[str, str]] = json.loads((place / VARIABLES).read_text())
    except FileNotFoundError:
        return {}
    return written.get("" if role == "command" else role.partition("-")[0], {})


def search_path(place: Path) -> str:
    """PATH with the cluster's own commands, if it has another release than the machine, and no other cluster's."""
    kept = [
        folder
        for folder in os.environ.get("PATH", os.defpath).split(os.pathsep)
        if Path(folder).name != "bin" or not Path(folder).with_name("dev-slurm.lock").exists()
    ]
    return os.pathsep.join([str(place / "bin"), *kept] if (place / "bin").exists() else kept)


def start(place: Path, role: str, argv: list[str]) -> subprocess.Popen[bytes]:
    """A daemon in the foreground of a session of its own: it outlives us, and its id is known at once."""
    with (place / f"log/{role}.out").open("ab") as log:
        return subprocess.Popen(
            argv,
            env=environment(place, role),
            cwd=place / "run",
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )


def living(place: Path) -> list[Process]:
    """Every process of the cluster in `place`."""
    roles = {pid: role for pid in everyone() if (role := role_of(place, pid))}
    steps = {pid for pid, role in roles.items() if role == STEP}
    if steps:  # a job may have given its processes another environment
        roles |= {pid: JOB for pid in everyone() if pid not in roles and not steps.isdisjoint(ancestors(pid))}
    return [Process(pid, role) for pid, role in roles.items()]


def everyone() -> Iterator[int]:
    return (int(one.name) for one in Path("/proc").iterdir() if one.name.isdecimal() and int(one.name) != os.getpid())


def role_of(place: Path, pid: int) -> str | None:
    """What `pid` is in the cluster; None if it is not of it, or dead and only waiting for its parent to notice."""
    try:
        environ = Path(f"/proc/{pid}/environ").read_bytes()
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
        folder = Path(f"/proc/{pid}/cwd").readlink()
    except OSError:
        return None  # gone, or another user's
    own = dict(pair.split(b"=", 1) for pair in environ.split(b"\0") if b"=" in pair)
    if own.get(FOLDER.encode()) == os.fsencode(place):
        return own.get(ROLE.encode(), b"").decode()
    if own.get(b"SLURM_CONF") == os.fsencode(place / "etc/slurm.conf") and b"SLURMD_NODENAME" in own:
        return JOB
    # Slurm's processes that give themselves a title write it over their environment.
    if command.startswith((b"slurmstepd: ", b"slurmctld: ")) and folder == place.resolve() / "run":
        return STEP
    return None


def ancestors(pid: int) -> Iterator[int]:
    while pid > 1:
        try:
            status = Path(f"/proc/{pid}/stat").read_text(errors="replace")
        except OSError:
            return
        pid = int(status.rpartition(")")[2].split()[1])
        yield pid


def stop(place: Path, roles: Callable[[str], bool], patience: float) -> None:
    """Ask every process whose role fits to end; after `patience` seconds make it."""
    deadline = time.monotonic() + patience
    asked: set[int] = set()
    while left := [process for process in living(place) if roles(process.role)]:
        late = time.monotonic() > deadline
        if time.monotonic() > deadline + 20:
            raise Stop(f"These do not end, even killed: {', '.join(f'{one.role} ({one.pid})' for one in left)}.")
        for process in left:
            if late or process.pid not in asked:
                asked.add(process.pid)
                with contextlib.suppress(ProcessLookupError):
                    os.kill(process.pid, signal.SIGKILL if late else signal.SIGTERM)
        time.sleep(0.05)
