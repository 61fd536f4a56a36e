"""A hundred users who watch their runs on a cluster of scripts/dev-slurm, and what slurmctld is asked meanwhile.

The users are processes with user ids of their own, as root; else processes of one user, and the report says so: then
nothing can be shared, as the folder has to be root's. They run inside one program, as to start a process for each
command would take more than this machine has; what they ask Slurm is the same. For a quick try: `--users 6 --seconds
10`.
"""

import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from record import ROOT, option

USERS = int(option("users", 100))
FIRST_USER = 12_000
SECONDS = option("seconds", 60.0)
BEGINNING = SECONDS / 4
"""Seconds in which all begin, and nothing is counted."""
EVERY = 2.0
POLL_SECONDS = 5
DEV_SLURM = [sys.executable, str(ROOT / "scripts" / "dev-slurm")]
ASKED = re.compile(
    r"^\s+(REQUEST_(?:JOB|PARTITION|BUILD|NODE)\w*INFO\w*)\s+\(\s*\d+\) count:(\d+)\s.*total_time:(\d+)", re.MULTILINE
)
"""The lines of sdiag about questions; the last number is in microseconds."""

User = Callable[[str, int], None]
"""Watches a run; the number is the user's."""


@contextmanager
def watched_cluster() -> Iterator[tuple[Path, list[str]]]:
    """A cluster of two nodes with a held run for each user: its folder, and the runs' directories."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        where = ["--dir", str(folder / "slurm")]
        subprocess.run([*DEV_SLURM, "up", "--nodes", "2", *where], check=True)
        try:
            os.environ["SLURM_CONF"] = str(folder / "slurm" / "etc" / "slurm.conf")
            yield folder, submitted(folder)
        finally:
            subprocess.run([*DEV_SLURM, "down", *where], check=True)


def submitted(folder: Path) -> list[str]:
    """The directories of runs, one for each user, whose jobs are held."""
    words = [f"run_root={folder}/runs", "launcher=slurm", "cluster=dev", "+cluster.extra.hold=true", "name=polling"]
    sweep = ["-m", f"trainer.seed=range({USERS})"]
    runs = output(sys.executable, str(ROOT / "train.py"), *words, *sweep).splitlines()
    subprocess.run(["chmod", "-R", "a+rX", folder / "runs"], check=True)
    return runs


def counted(folder: Path, runs: list[str], user: User, *, shared: bool = False) -> dict[str, object]:
    """What slurmctld is asked in a minute while each user watches a run."""
    site = Path(os.environ["SLURM_CONF"]).with_name("passingloop.toml")
    site.write_text(f"poll_seconds = {POLL_SECONDS}\n")
    if shared:
        answers = folder / "answers"
        answers.mkdir()
        answers.chmod(0o1777)
        site.write_text(f'poll_seconds = {POLL_SECONDS}\nsnapshot_folder = "{answers}"\n')
    with tempfile.TemporaryDirectory(dir=folder) as homes:
        Path(homes).chmod(0o755)
        children = [begun(user, run, number, Path(homes)) for number, run in enumerate(runs)]
        time.sleep(BEGINNING)
        subprocess.run(["sdiag", "--reset"], check=True)
        started = time.monotonic()
        time.sleep(SECONDS)
        said, minutes = output("sdiag"), (time.monotonic() - started) / 60
        for child in children:
            os.killpg(child, signal.SIGKILL)
            os.waitpid(child, 0)
    questions = {name: (int(count), int(microseconds)) for name, count, microseconds in ASKED.findall(said)}
    return {
        "requests_per_minute": round(sum(count for count, _ in questions.values()) / minutes, 1),
        "milliseconds_of_slurmctld_per_minute": round(sum(time for _, time in questions.values()) / 1000 / minutes, 1),
        "by_kind": {name: count for name, (count, _) in questions.items()},
    }


def begun(user: User, run: str, number: int, homes: Path) -> int:
    """A process of a user who watches `run`."""
    home = homes / str(number)
    home.mkdir(mode=0o700)
    uid = FIRST_USER + number if is_root() else os.getuid()
    os.chown(home, uid, -1)
    if child := os.fork():
        return child
    try:
        os.setpgid(0, 0)
        nowhere = os.open(os.devnull, os.O_RDWR)
        for descriptor in (0, 1, 2):
            os.dup2(nowhere, descriptor)
        if is_root():
            os.setgroups([])
            os.setgid(uid)
            os.setuid(uid)
        os.environ["XDG_RUNTIME_DIR"] = str(home)
        time.sleep(number * EVERY / USERS)  # they do not all begin at the same moment
        user(run, number)
    finally:
        os._exit(1)


def output(*command: str) -> str:
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout


def is_root() -> bool:
    return os.getuid() == 0
