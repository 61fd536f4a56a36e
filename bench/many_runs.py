"""Every verb for a user with 20,000 runs: `python bench/many_runs.py [--runs N] [--rounds N] [--save]`.

Makes the directories of the runs as bench/index.py does, and submits a sweep of 20 more that waits, on a cluster of
scripts/dev-slurm of its own. The index is warm, as it is after the first command of a day. The commands are whole
processes; verbs whose work does not depend on the runs of a user (shell, notebook, doctor, drill, prepare, dashboard)
are left out.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from record import ROOT, option, record

from index import make_runs, median, seconds

LIMIT = 2.0
RUNS, ROUNDS = int(option("runs", 20_000)), int(option("rounds", 3))
WAITING = 20
FAILED, ENDED, OTHER = (f"name-{number:02}/{number:012x}" for number in range(3))
PROGRAM = [sys.executable, "-P", "-m", "passingloop.cli.main"]
DEV_SLURM = [sys.executable, str(ROOT / "scripts" / "dev-slurm")]


def main() -> None:
    with tempfile.TemporaryDirectory() as name, cluster(Path(name) / "slurm"):
        root = Path(name) / "runs"
        make_runs(root, RUNS)
        spread_over_a_year(root)
        waiting = submitted(root)
        time.sleep(4.0)  # until the index may trust the times of the files
        cold, _ = seconds(root, ["status"])
        figures = {}
        asked = [(words, ROUNDS) for words in questions(root, waiting, Path(name))]
        for words, rounds in [*asked, *((words, 1) for words in changes(root, waiting))]:
            times = [seconds(root, words) for _ in range(rounds)]
            shown = " ".join(words).replace(f"{root}/", "").replace(name, "DIR")
            figures[shown] = {"seconds": median(times, 0), "cpu_seconds": median(times, 1)}
            print(f"{figures[shown]['seconds']:6.2f} {figures[shown]['cpu_seconds']:6.2f}  {shown}", file=sys.stderr)
        submit = submission_seconds(root)
    record(
        "many_runs",
        {
            "runs": RUNS,
            "waiting": WAITING,
            "commands": figures,
            "submit_one_more_run": submit,
            "over_limit": [shown for shown, figure in figures.items() if figure["seconds"] > LIMIT],
            "over_limit_of_cpu": [shown for shown, figure in figures.items() if figure["cpu_seconds"] > LIMIT],
            "limit_seconds": LIMIT,
            "cold_status_seconds": round(cold, 1),
            "rounds": ROUNDS,
            "load": os.getloadavg()[0],
        },
    )


def questions(root: Path, waiting: list[str], folder: Path) -> Iterator[list[str]]:
    """What a user asks; `waiting` are runs in the queue."""
    ended, failed, other, pending = *(f"{root}/{run}" for run in (ENDED, FAILED, OTHER)), waiting[0]
    for run in (ended, pending):
        yield from (["status", run], ["logs", run], ["why", run])
    yield from (["status"], ["status", "--json"], ["status", "name-07"], ["status", f"{1234:012x}"])
    yield from (["list"], ["list", "--json"], ["list", "--where", "test/accuracy>0.999"])
    yield from (["list", "--where", "state==failed", "--sort", "created"], ["why"], ["why", "name-07"])
    yield from (["wait", ended], ["diff", ended, other], ["logs", "name-07"], ["top", "--once"])
    yield from (["report"], ["report", "--json"], ["report", "--by", "experiment"])
    yield from (["report", "--html", f"{folder}/report.html"], ["export-metrics", "--textfile", str(folder)])
    yield from (["sync", "--dry-run"], ["sync", "--dry-run", "name-07"])
    yield from (["archive", "--dry-run", "name-07"], ["archive", "--dry-run", "--where", "state==completed"])
    yield from (["delete", "--dry-run", failed], ["delete", "--dry-run", "--where", "state==failed"])


def changes(root: Path, waiting: list[str]) -> Iterator[list[str]]:
    """What a user does, each once."""
    ended, failed, other, pending = *(f"{root}/{run}" for run in (ENDED, FAILED, OTHER)), waiting[0]
    yield from (["priority", pending, "low"], ["release", pending], ["hold", pending])
    yield from (["tag", ended, "kept"], ["note", ended, "the one to keep"])
    yield from (["rerun", ended], ["rerun", "name-07", "--failed"], ["cancel", pending], ["cancel", "name-07"])
    yield from (
        ["archive", "--yes", other],
        ["archive", "--undo", OTHER],
        ["delete", "--yes", failed],
    )


def spread_over_a_year(root: Path) -> None:
    """As if the runs had ended on different days; what has happened lately is read anew by some commands."""
    for number, run in enumerate(sorted(root.glob("*/*"))):
        ended = time.time() - 86_400 * (number % 365)
        for file in run.iterdir():
            os.utime(file, (ended, ended))


@contextmanager
def cluster(folder: Path) -> Iterator[None]:
    where = ["--dir", str(folder)]
    subprocess.run([*DEV_SLURM, "up", "--nodes", "2", *where], check=True)
    try:
        os.environ["SLURM_CONF"] = str(folder / "etc" / "slurm.conf")
        yield
    finally:
        subprocess.run([*DEV_SLURM, "down", *where], check=True)


def submitted(root: Path, *words: str) -> list[str]:
    fixed = [f"run_root={root}", "launcher=slurm", "cluster=dev", "+cluster.extra.hold=true", "name=waiting"]
    sweep = ["-m", f"trainer.seed=range({WAITING})"]
    command = [sys.executable, str(ROOT / "train.py"), *fixed, *(words or sweep)]
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout.splitlines()


def submission_seconds(root: Path) -> float:
    started = time.perf_counter()
    submitted(root, f"trainer.seed={WAITING}")
    return round(time.perf_counter() - started, 2)


if __name__ == "__main__":
    main()
