"""How often slurmctld is asked while 100 users watch their runs: `python bench/polling.py [--save]`.

On a cluster of scripts/dev-slurm of its own, 100 users watch held runs of one owner: a third of them with `passingloop
status` every 2 s, as `watch` does, a third with `passingloop wait`, a third with `passingloop logs -f`. sdiag counts
for a minute, after a quarter of one in which all begin: with one answer for all users of the node, with one for each
user, with none kept, and beside them users who `watch squeue --me`. Nothing else asks the cluster.

The users are processes with user ids of their own, as root; else processes of one user, and the report says so: then
nothing can be shared, as the folder has to be root's. They run inside one program, as to start a process for each
command would take more than this machine has; what they ask Slurm is the same.
"""

import argparse
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from record import ROOT, record

from passingloop.cli.runs import logs, status, wait
from passingloop.status import query

USERS = 100
FIRST_USER = 12_000
BEGINNING = 15.0
SECONDS = 60.0
EVERY = 2.0
POLL_SECONDS = 5
DEV_SLURM = [sys.executable, str(ROOT / "scripts" / "dev-slurm")]
ASKED = re.compile(
    r"^\s+(REQUEST_(?:JOB|PARTITION|BUILD|NODE)\w*INFO\w*)\s+\(\s*\d+\) count:(\d+)\s.*total_time:(\d+)", re.MULTILINE
)
"""The lines of sdiag about questions; the last number is in microseconds."""


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        where = ["--dir", str(folder / "slurm")]
        subprocess.run([*DEV_SLURM, "up", "--nodes", "2", *where], check=True)
        try:
            os.environ["SLURM_CONF"] = str(folder / "slurm" / "etc" / "slurm.conf")
            runs = submitted(folder)
            figures = {
                "one answer per node": counted(folder, runs, watch, shared=True),
                "one answer per user": counted(folder, runs, watch),
                "no answers kept": counted(folder, runs, watch_afresh),
                "watch squeue": counted(folder, runs, watch_squeue),
            }
            release = output("sbatch", "--version").strip()
        finally:
            subprocess.run([*DEV_SLURM, "down", *where], check=True)
    if not is_root():
        del figures["one answer per node"]
    best = next(iter(figures.values()))["requests_per_minute"]
    others = list(figures)[1:]
    record(
        "polling",
        {
            "figures": figures,
            "times_fewer": {name: round(figures[name]["requests_per_minute"] / best, 1) for name in others},
            "users": USERS if is_root() else f"{USERS} processes of one user",
            "poll_seconds": POLL_SECONDS,
            "seconds": SECONDS,
            "watch_every": EVERY,
            "jobs": USERS,
            "slurm": release,
        },
    )


def submitted(folder: Path) -> list[str]:
    """The directories of runs, one for each user, whose jobs are held."""
    words = [f"run_root={folder}/runs", "launcher=slurm", "cluster=dev", "+cluster.extra.hold=true", "name=polling"]
    sweep = ["-m", f"trainer.seed=range({USERS})"]
    runs = output(sys.executable, str(ROOT / "train.py"), *words, *sweep).splitlines()
    subprocess.run(["chmod", "-R", "a+rX", folder / "runs"], check=True)
    return runs


def counted(
    folder: Path, runs: list[str], user: Callable[[str, int], None], *, shared: bool = False
) -> dict[str, object]:
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


def begun(user: Callable[[str, int], None], run: str, number: int, homes: Path) -> int:
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


def watch(run: str, number: int) -> None:
    words = argparse.Namespace(runs=[run], run_root=Path(run).parents[1], json=True, follow=True)
    if number % 3 == 0:
        while True:
            status.main(words)
            time.sleep(EVERY)
    (wait if number % 3 == 1 else logs).main(words)


def watch_afresh(run: str, number: int) -> None:
    """The same commands, each of which asks Slurm whenever it looks."""
    for module in (status, wait, logs):
        module.shown_states = lambda runs, patience=0.0: query.states_of(runs)
    watch(run, number)


def watch_squeue(run: str, number: int) -> None:
    while True:
        subprocess.run(["squeue", "--me"], check=False)
        time.sleep(EVERY)


def output(*command: str) -> str:
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout


def is_root() -> bool:
    return os.getuid() == 0


main()
