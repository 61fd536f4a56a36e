"""What slurmctld does for a command, by the jobs in the queue: `python bench/queue_size.py [--jobs N] [--save]`.

On a cluster of scripts/dev-slurm of its own, jobs of one user are submitted one by one and held: a tenth of them, then
all. Each time it is counted how long slurmctld works on a question about all jobs and how long squeue, `passingloop
status` and `passingloop why` take, without an answer of an earlier command.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from many_runs import PROGRAM, cluster, submitted
from record import option, record
from users import said

JOBS, ROUNDS = int(option("jobs", 4000)), 5
SBATCH = ["sbatch", "--parsable", "--hold", "--output=/dev/null", "--gpus-per-node=1", "--wrap=true"]


def main() -> None:
    with tempfile.TemporaryDirectory() as name, cluster(Path(name) / "slurm"):
        os.environ["XDG_RUNTIME_DIR"] = name
        root = Path(name) / "runs"
        run = submitted(root)[0]
        figures, there = {}, 0
        for jobs in (JOBS // 10, JOBS):
            with ThreadPoolExecutor(2) as pool:
                list(pool.map(lambda _: output(*SBATCH), range(jobs - there)))
            there = jobs
            figures[f"{jobs} jobs"] = measured(root, run, Path(name))
    record("queue_size", {"figures": figures, "rounds": ROUNDS, "load": os.getloadavg()[0]})


def measured(root: Path, run: str, answers: Path) -> dict[str, Any]:
    commands = {
        "squeue": ["squeue", "--all"],
        "status": [*PROGRAM, "status", run, "--run-root", str(root)],
        "why": [*PROGRAM, "why", run, "--run-root", str(root)],
    }
    output("sdiag", "--reset")
    times: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(ROUNDS):
        for name, command in commands.items():
            for answer in answers.glob("passingloop*/*"):
                answer.unlink()
            started = time.perf_counter()
            output(*command)
            times[name].append(time.perf_counter() - started)
    asked = {name: (number, micro) for name, _, number, micro in said(output("sdiag")) if "JOB" in name}
    return {
        "seconds": {name: round(statistics.median(values), 2) for name, values in times.items()},
        "bytes_of_squeue": len(output("squeue", "--all")),
        "milliseconds_of_slurmctld_per_request": {
            name: round(micro / number / 1000, 2) for name, (number, micro) in asked.items()
        },
        "requests": {name: number for name, (number, _) in asked.items()},
    }


def output(*command: str) -> str:
    return subprocess.run(command, stdout=subprocess.PIPE, stderr=sys.stderr, text=True, check=True).stdout


if __name__ == "__main__":
    main()
