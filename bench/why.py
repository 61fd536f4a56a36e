"""How long `passingloop why` takes on a queue of 5,000 jobs: `python bench/why.py [--save]`.

Starts a cluster of scripts/dev-slurm with 128 simulated GPUs and Slurm's own interval between backfills (30 s; that of
dev-slurm is 2 s, with which slurmctld does little else), and submits 5,000 jobs one by one. Slurm is asked afresh each
time: no answer of an earlier call is kept. Peers, in the same run: squeue of the same queue, which is what people look
at, and `sbatch --test-only`, of which `why` asks several.
"""

import itertools
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from record import ROOT, record

JOBS, ROUNDS, LIMIT = 5000, 5, 2.0
NODES, GPUS = 16, 8
WHY = [sys.executable, "-m", "passingloop.cli.main", "why"]
SQUEUE = ["squeue", "--all", "--format=%i %P %u %T %M %D %R %Q %S"]
TRIAL = ["sbatch", "--test-only", "--gpus-per-node=2", "--time=30", "--wrap=true"]


def main() -> None:
    with tempfile.TemporaryDirectory() as name, slurm(Path(name)):
        submit_all()
        waiting = output("squeue", "--noheader", "--states=PENDING", "--sort=-p,i", "--format=%i").split()
        asked = {"first": waiting[0], "middle": waiting[len(waiting) // 2], "last": waiting[-1]}
        seconds = {name: [timed(*WHY, job) for _ in range(ROUNDS)] for name, job in asked.items()}
        seconds["squeue"] = [timed(*SQUEUE) for _ in range(ROUNDS)]
        seconds["sbatch --test-only"] = [timed(*TRIAL) for _ in range(ROUNDS)]
        [row] = json.loads(output(*WHY, "--json", asked["middle"]))
        release = output("sbatch", "--version").strip()
    medians = {name: statistics.median(times) for name, times in seconds.items()}
    worst = max(medians[name] for name in asked)
    record(
        "why",
        {
            "jobs_waiting": len(waiting),
            "median_seconds": {name: round(value, 2) for name, value in medians.items()},
            "all_seconds": {name: [round(value, 2) for value in values] for name, values in seconds.items()},
            "why_over_limit": round(worst / LIMIT, 2),
            "why_over_squeue": round(worst / medians["squeue"], 2),
            "limit_seconds": LIMIT,
            "rounds": ROUNDS,
            "place_of_the_middle_job": row["place"]["place"],
            "options_that_slurm_was_asked_about": len(row["options"]),
            "load_of_the_machine": os.getloadavg()[0],
            "nodes": NODES,
            "gpus": NODES * GPUS,
            "slurm": release,
        },
    )


def submit_all() -> None:
    """Jobs of two accounts and two QOS, of 1 to 4 GPUs and 10 to 59 minutes; more than the GPUs take."""
    kinds = itertools.islice(
        itertools.product(("team-a", "team-b"), ("production", "scavenger", "production"), range(10, 60), (1, 2, 3, 4)),
        1200,
    )
    jobs = itertools.islice(itertools.cycle(kinds), JOBS + 100)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(submit, jobs))


def submit(job: tuple[str, str, int, int]) -> None:
    account, qos, minutes, gpus = job
    words = [f"--account={account}", f"--qos={qos}", f"--time={minutes}", f"--gpus-per-node={gpus}"]
    output("sbatch", "--parsable", "--output=/dev/null", *words, "--wrap=sleep 10000")


@contextmanager
def slurm(folder: Path) -> Iterator[None]:
    """A cluster of its own, made known in the environment."""
    dev_slurm, where = [sys.executable, str(ROOT / "scripts" / "dev-slurm")], ["--dir", str(folder / "slurm")]
    size = ["--nodes", str(NODES), "--gpus", str(GPUS), "--cpus", "32"]
    subprocess.run([*dev_slurm, "up", *size, *where], check=True)
    try:
        name, _, value = output(*dev_slurm, "env", *where).strip().removeprefix("export ").partition("=")
        os.environ[name] = value
        conf = Path(value)
        conf.write_text(conf.read_text().replace("bf_interval=2,", "bf_interval=30,"))
        output("scontrol", "reconfigure")
        yield
    finally:
        subprocess.run([*dev_slurm, "down", *where], check=True)


def timed(*command: str) -> float:
    with tempfile.TemporaryDirectory() as empty:
        os.environ["XDG_RUNTIME_DIR"] = empty  # where answers of Slurm are kept for some seconds
        started = time.perf_counter()
        output(*command)
        return time.perf_counter() - started


def output(*command: str) -> str:
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout


main()
