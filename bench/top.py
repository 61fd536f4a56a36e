"""How often slurmctld is asked while 100 users have `passingloop top` open: `python bench/top.py [--save]`.

On a cluster of scripts/dev-slurm of its own, each user watches a held run of one owner. sdiag counts for a minute,
after a quarter of one in which all begin: with one answer for all users of the node, with one for each user, with one
for each user who has pressed no key for ten minutes, and beside them users who `watch` what shows less of the same,
squeue of all jobs and sinfo. Nothing else asks the cluster. The users are those of bench/watchers.py; they have no
terminal, as what Slurm is asked does not depend on one.

In the same run: what `top` sends to a terminal of 80 columns in a second, with one run that trains and with none, and
how much of a core it takes with 1,000 runs that have ended.
"""

import subprocess
import time
from pathlib import Path

from record import record
from terminal_traffic import traffic
from watchers import EVERY, POLL_SECONDS, SECONDS, USERS, counted, is_root, output, watched_cluster

from passingloop.live.machine_reading import MachineReader
from passingloop.live.run_reading import RunReader
from passingloop.live.watch import Watch
from passingloop.rundir.directory import RunDir

INTERVAL = 2.0
UNTOUCHED = 700.0


def main() -> None:
    with watched_cluster() as (folder, runs):
        figures = {
            "one answer per node": counted(folder, runs, look_on, shared=True),
            "one answer per user": counted(folder, runs, look_on),
            "one answer per user, no key for 10 minutes": counted(folder, runs, leave_open),
            "watch squeue and sinfo": counted(folder, runs, watch_commands),
        }
        release = output("sbatch", "--version").strip()
    if not is_root():
        del figures["one answer per node"]
    best = next(iter(figures.values()))["requests_per_minute"]
    record(
        "top",
        {
            "figures": figures,
            "times_fewer": {
                name: round(figure["requests_per_minute"] / best, 1) for name, figure in list(figures.items())[1:]
            },
            "users": USERS if is_root() else f"{USERS} processes of one user",
            "poll_seconds": POLL_SECONDS,
            "seconds": SECONDS,
            "watch_every": EVERY,
            "jobs": USERS,
            "terminal": {"1 run": traffic(1), "1,000 runs": traffic(1000)},
            "slurm": release,
        },
    )


def look_on(run: str, number: int) -> None:
    _watch(run, untouched=0.0)


def leave_open(run: str, number: int) -> None:
    _watch(run, untouched=UNTOUCHED)


def _watch(run: str, untouched: float) -> None:
    watch = Watch(RunReader(lambda: [RunDir(Path(run))]), MachineReader(), INTERVAL)
    while True:
        watch.ask()
        until = time.monotonic() + watch.pause(untouched)
        while time.monotonic() < until:
            watch.look()
            time.sleep(INTERVAL)


def watch_commands(run: str, number: int) -> None:
    while True:
        subprocess.run(["squeue"], check=False)
        subprocess.run(["sinfo"], check=False)
        time.sleep(EVERY)


main()
