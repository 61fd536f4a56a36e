"""How much of what is allocated goes into steps that count: `python bench/goodput.py [--save]`.

On a cluster of scripts/dev-slurm of its own, a run whose processes are killed every two minutes on average, without a
warning (`--every 120`, seconds, varied by a fifth), for `--minutes 8`. checkpoint.every=auto chooses when to save,
unless `--save-every` says it in seconds.

    goodput = seconds on steps that count / seconds allocated (slurmdbd's, of all its jobs)

Beside it what Young (1974) and Daly (2006) predict. With C the seconds for which a save holds up training, R those
from a kill to the first step after it, and M those between two kills, the best interval is T = sqrt(2 C M), and the
share that is wasted, to first order,

    C / T + (T / 2 + R) / M

the saves, half an interval that is lost with each kill, and the restart. It is given for that T and for the interval
that the run had. A save that is still being written when the kill comes is lost as well: T / 2 is then a bit more.
"""

import math
import os
import random
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import small
from record import ROOT, option, record
from texts import minilm, write_texts

from passingloop.rundir import ledger
from passingloop.rundir.directory import RunDir
from passingloop.rundir.events import End, Start
from passingloop.slurm import control
from passingloop.slurm.command import run_command

JITTER = 0.2
POLL = 0.1


class Watched:
    """The run, and the moments at which a checkpoint of it appeared."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.saves: dict[str, float] = {}
        self.words = [
            "launcher=slurm",
            "cluster=dev",
            "name=goodput",
            f"model.path={minilm()}",
            "data=files",
            f"data.train={write_texts(folder / 'texts.csv')}",
            "data.max_length=32",
            "trainer.batch_size=8",
            "trainer.steps=1000000",
            "trainer.eval_every=1000000",
            "retry.crash=null",
            "tracking=none",
            "resources.cpus=2",
            f"run_root={folder}/runs",
            f"cache_root={folder}/cache",
        ]
        if seconds := option("save-every", 0):
            self.words += ["checkpoint.every=null", f"checkpoint.every_minutes={seconds / 60}"]

    def submit(self) -> None:
        subprocess.run(
            [sys.executable, str(ROOT / "train.py"), *self.words],
            env=os.environ | small.ENVIRONMENT,
            stdout=subprocess.DEVNULL,
            check=True,
        )

    @property
    def run(self) -> RunDir:
        [path] = self.folder.glob("runs/goodput/*/run.json")
        return RunDir(path.parent)

    def look(self, until: float) -> None:
        """Note new checkpoints until then; submit again where nothing else does."""
        asked = 0.0
        while time.time() < until:
            for path in self.run.complete_checkpoints():
                self.saves.setdefault(path.name, path.stat().st_mtime)
            if time.time() - asked > 5.0:
                asked = time.time()
                if not run_command("squeue", "--noheader", "--me").strip():
                    self.submit()
            time.sleep(POLL)


def main(folder: Path) -> None:
    every, minutes = option("every", 120), option("minutes", 8)
    seed = int(option("seed", 1))
    chance, watched = random.Random(seed), Watched(folder)
    watched.submit()
    end = time.time() + 60 * minutes
    kills: list[float] = []
    while (at := time.time() + every * chance.uniform(1 - JITTER, 1 + JITTER)) < end:
        watched.look(at)
        kills += strike(watched.run)
    watched.look(end)
    job_ids = sorted({start.job_id for start in ledger.read(watched.run).events_of(Start) if start.job_id})
    control.cancel_jobs(job_ids)
    wait_for_the_end(watched.run)
    report(watched, kills, job_ids, {"every_seconds": every, "minutes": minutes, "seed": seed})


def strike(run: RunDir) -> list[float]:
    """Kill what trains; when that was, if there was something."""
    newest = ledger.read(run).events[-1]
    if not isinstance(newest, Start) or newest.job_id is None:
        return []
    control.kill_steps(newest.job_id)
    return [time.time()]


def wait_for_the_end(run: RunDir) -> None:
    while run_command("squeue", "--noheader", "--me").strip() or isinstance(ledger.read(run).events[-1], Start):
        time.sleep(0.5)
    time.sleep(3.0)  # slurmdbd hears of it a little later


def report(watched: Watched, kills: list[float], job_ids: list[str], conditions: dict[str, Any]) -> None:
    ends = [asdict(end.seconds) for end in ledger.read(watched.run).events_of(End)]
    total = {name: sum(seconds[name] for seconds in ends) for name in ("starting", "training", "saving", "lost")}
    given = allocated(job_ids)
    counted = total["training"] - total["lost"]
    other = given - total["starting"] - total["training"] - total["saving"]
    assert watched.saves, "nothing was saved in this time"
    save = total["saving"] / len(watched.saves)
    between = given / max(1, len(kills))
    restart = (total["starting"] + other) / max(1, len(ends))
    had = total["training"] / len(watched.saves)
    best = math.sqrt(2 * save * between)
    record(
        "goodput",
        {
            "goodput": round(counted / given, 4),
            "shares": {
                "steps that count": round(counted / given, 4),
                "lost steps": round(total["lost"] / given, 4),
                "restart": round(total["starting"] / given, 4),
                "save": round(total["saving"] / given, 4),
                "between attempts": round(other / given, 4),
            },
            "predicted_by_young_daly": {
                "with the best interval": round(1 - wasted(best, save, between, restart), 4),
                "with the interval it had": round(1 - wasted(had, save, between, restart), 4),
            },
            "goodput_over_predicted": round(counted / given / (1 - wasted(best, save, between, restart)), 3),
            "seconds": {
                "allocated": given,
                **{name: round(value, 1) for name, value in total.items()},
                "a save": round(save, 4),
                "a restart": round(restart, 1),
                "between kills": round(between, 1),
                "training for each save": round(had, 1),
                "best interval": round(best, 1),
            },
            "kills": len(kills),
            "attempts": len(ends),
            "saves": len(watched.saves),
            "conditions": conditions | {"model": "all-MiniLM-L6-v2", "batch": 8, "tokens": 32, "slurm": release()},
        },
    )


def wasted(interval: float, save: float, between: float, restart: float) -> float:
    return save / interval + (interval / 2 + restart) / between


def allocated(job_ids: list[str]) -> float:
    """Seconds for which the jobs had a node, each time that they were started."""
    words = ("--duplicates", "--allocations", "--noheader", "--parsable2", "--format=ElapsedRaw")
    return float(sum(map(int, run_command("sacct", f"--jobs={','.join(job_ids)}", *words).split())))


def release() -> str:
    return run_command("sinfo", "--version").strip()


def cluster(folder: Path, verb: str, *options: str) -> str:
    command = [sys.executable, str(ROOT / "scripts" / "dev-slurm"), verb, "--dir", str(folder), *options]
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        try:
            cluster(place / "slurm", "up", "--nodes", "1", "--cpus", "2")
            variable, _, value = cluster(place / "slurm", "env").strip().removeprefix("export ").partition("=")
            os.environ[variable] = value
            main(place)
        finally:
            cluster(place / "slurm", "down")
