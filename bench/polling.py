"""How often slurmctld is asked while 100 users watch their runs: `python bench/polling.py [--save]`.

On a cluster of scripts/dev-slurm of its own, 100 users watch held runs of one owner: a third of them with `passingloop
status` every 2 s, as `watch` does, a third with `passingloop wait`, a third with `passingloop logs -f`. sdiag counts
for a minute, after a quarter of one in which all begin: with one answer for all users of the node, with one for each
user, with none kept, and beside them users who `watch squeue --me`. Nothing else asks the cluster.
The users are those of bench/watchers.py.
"""

import argparse
import subprocess
import time
from pathlib import Path

from record import record
from watchers import EVERY, POLL_SECONDS, SECONDS, USERS, counted, is_root, output, watched_cluster

from passingloop.cli.runs import logs, status, wait
from passingloop.status import query


def main() -> None:
    with watched_cluster() as (folder, runs):
        figures = {
            "one answer per node": counted(folder, runs, watch, shared=True),
            "one answer per user": counted(folder, runs, watch),
            "no answers kept": counted(folder, runs, watch_afresh),
            "watch squeue": counted(folder, runs, watch_squeue),
        }
        release = output("sbatch", "--version").strip()
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


main()
