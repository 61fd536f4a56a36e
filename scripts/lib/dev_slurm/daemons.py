"""Starting what is not running, in the order in which each needs the one before, and stopping all of it."""

import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from . import files
from .folder import Shape
from .packages import program
from .processes import JOB, STEP, environment, living, start, stop
from .words import Stop

PATIENCE = 90.0  # seconds for one step; each takes one or two, but the machine may be busy
SMALL = ("--innodb-log-file-size=16M", "--innodb-flush-log-at-trx-commit=0", "--innodb-flush-method=nosync")


def roles(shape: Shape) -> list[str]:
    """Every daemon of a whole cluster."""
    return ["munged", "mariadbd", "slurmdbd", "slurmctld", *(f"slurmd-n{i}" for i in range(1, shape.nodes + 1))]


def absent(place: Path, shape: Shape) -> list[str]:
    there = {process.role for process in living(place)}
    return [role for role in roles(shape) if role not in there]


def call(place: Path, *argv: str, told: str = "") -> "subprocess.CompletedProcess[str]":
    """One of Slurm's commands, on this cluster."""
    try:
        return subprocess.run(
            [program(argv[0], place), *argv[1:]],
            env=environment(place, "command"),
            cwd=place / "run",
            input=told,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise Stop(f"{' '.join(argv)} did not end within {PATIENCE:.0f} s. Logs: {place}/log") from None


# --- starting ------------------------------------------------------------------------------------------------


def start_accounting(place: Path, port: int, missing: list[str]) -> None:
    """munged, MariaDB and slurmdbd."""
    run = place / "run"
    if "munged" in missing:
        # --force: a folder that only its owner may enter is meant
        argv = f"munged --foreground --force --num-threads=2 --socket={run}/munge --pid-file={run}/munged.pid"
        argv += f" --key-file={place}/etc/munge.key --seed-file={run}/munge.seed --log-file={place}/log/munged.log"
        bring_up(place, "munged", argv.split(), lambda: answers(run / "munge"))
    if "mariadbd" in missing:
        argv = f"mariadbd --no-defaults --datadir={place}/mysql --socket={place}/mysql/socket --skip-networking"
        argv += f" --user={files.user()} --pid-file={run}/mariadbd.pid --tmpdir={run}"
        (place / "mysql/socket").unlink(missing_ok=True)
        bring_up(place, "mariadbd", [*argv.split(), *SMALL], lambda: answers(place / "mysql/socket"))
    if "slurmdbd" in missing:
        bring_up(place, "slurmdbd", ["slurmdbd", "-D"], lambda: answers(port))


def start_controller(place: Path, missing: list[str]) -> None:
    if "slurmctld" in missing:
        bring_up(place, "slurmctld", ["slurmctld", "-D"], lambda: controller_answers(place))


def start_nodes(place: Path, shape: Shape, missing: list[str]) -> None:
    for role in missing:
        if role.startswith("slurmd-"):
            start(place, role, [*slurmd(place), "-D", "-N", role.removeprefix("slurmd-")])
    wait_for(place, "the nodes", "slurmctld", lambda: nodes_ready(place, shape))


def slurmd(place: Path) -> list[str]:
    """It would start the machine's slurmstepd, whatever its own release."""
    own = place / "bin/slurmstepd"
    return [program("slurmd", place), *(["-d", str(own)] if own.exists() else [])]


def bring_up(place: Path, role: str, argv: list[str], ready: Callable[[], bool]) -> None:
    process = start(place, role, [program(argv[0], place), *argv[1:]])
    wait_for(place, role, role, lambda: process.poll() is not None or ready())
    if process.poll() is not None:
        raise Stop(f"{role} ended with {process.returncode}. {last_words(place, role)}")


def wait_for(place: Path, what: str, log: str, ready: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not ready():
        if time.monotonic() > deadline:
            raise Stop(f"{what} did not get ready within {PATIENCE:.0f} s. {last_words(place, log)}")
        time.sleep(0.05)


def controller_answers(place: Path) -> bool:
    return call(place, "scontrol", "ping").returncode == 0


def answers(where: Path | int) -> bool:
    """Something listens at this socket, or port of this machine."""
    family = socket.AF_INET if isinstance(where, int) else socket.AF_UNIX
    with socket.socket(family) as line:
        return line.connect_ex(("127.0.0.1", where) if isinstance(where, int) else str(where)) == 0


def last_words(place: Path, role: str) -> str:
    log = place / f"log/{role}.out"
    lines = log.read_text(errors="replace").splitlines() if log.exists() else []
    return "\n  ".join([f"The last words in {log}:", *lines[-8:]])


def nodes_ready(place: Path, shape: Shape) -> bool:
    said = call(place, "sinfo", "--noheader", "--Node", "--format=%N %t").stdout.split("\n")
    states = dict(line.split() for line in said if line)  # a node is there once for each partition
    return len(states) == shape.nodes and all(state in ("idle", "mix", "alloc", "comp") for state in states.values())


def try_a_job(place: Path) -> None:
    """A job of one task, as a user would run it, sees its GPU."""
    argv = "srun --qos=interactive --gres=gpu:1 --time=1 --quiet printenv CUDA_VISIBLE_DEVICES"
    said = call(place, *argv.split())
    if said.returncode or not said.stdout.strip():
        raise Stop(f"The first job failed: {said.stderr.strip()}. {last_words(place, 'slurmctld')}")


# --- accounting ----------------------------------------------------------------------------------------------


def make_database(place: Path) -> None:
    argv = f"mariadb-install-db --no-defaults --datadir={place}/mysql --user={files.user()} --skip-test-db"
    argv += f" --auth-root-authentication-method=socket --tmpdir={place}/run"
    said = call(place, *argv.split(), *SMALL)
    if said.returncode:
        raise Stop(f"mariadb-install-db failed: {said.stderr.strip() or said.stdout.strip()}")


def account(place: Path, lines: list[str]) -> None:
    """Tell sacctmgr, all in one call: opening its connection takes longer than what it is told."""
    said = call(place, "sacctmgr", "--immediate", told="\n".join([*lines, ""]))
    if said.returncode:
        raise Stop(f"sacctmgr failed: {said.stderr.strip()}\n{said.stdout.strip()}")


# --- stopping ------------------------------------------------------------------------------------------------


def stop_all(place: Path) -> None:
    """In the order that lets each end properly: slurmdbd would wait for MariaDB to come back."""
    accounting = ("munged", "mariadbd", "slurmdbd")
    stop(place, lambda role: role not in (JOB, STEP, *accounting), 10)  # so that no job takes another's place
    stop(place, lambda role: role == JOB, 3)
    stop(place, lambda role: role not in accounting, 0)  # they would wait for slurmctld to hear them out
    stop(place, lambda role: role == "slurmdbd", 10)
    stop(place, lambda role: True, 10)
