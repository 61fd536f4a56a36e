"""What a file server is asked for: `python bench/metadata.py [--save]`. Needs strace.

Counts the system calls on the run root and the cache of commands and of a tiny run that trains, on a cluster of
scripts/dev-slurm of its own. Looking up a path and reading its attributes can be answered from the cache of a client of
NFS or Lustre; to create, rename, remove, lock and make durable (fsync) goes to the server each time.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

from many_runs import PROGRAM, cluster
from record import ROOT, record

KINDS = {
    "look up": r"(?:stat|lstat|newfstatat|statx|access|faccessat2?|readlink|readlinkat|openat?)\(",
    "create": r"(?:mkdir|mkdirat|symlink|link)\(|openat?\(.*O_CREAT",
    "list": r"getdents64\(",
    "rename": r"rename\w*\(",
    "remove": r"(?:unlink|unlinkat|rmdir)\(",
    "fsync": r"f(?:data)?sync\(",
    "lock": r"flock\(.*LOCK_(?:EX|SH)|fcntl\(.*F_(?:OFD_)?SETLKW?\b",
}
"""The calls of each kind, the last that fits counts."""
TRAIN = [sys.executable, str(ROOT / "train.py")]
STEPS, SAVES = 40, (2, 8)


def main() -> None:
    with tempfile.TemporaryDirectory() as name, cluster(Path(name) / "slurm"):
        folder = Path(name)
        with ProcessPoolExecutor(1, get_context("spawn")) as pool:
            overrides = pool.submit(material_in, folder).result()
        places = [str(folder / "runs"), str(folder / "cache")]
        held = [*TRAIN, *overrides, "launcher=slurm", "cluster=dev", "+cluster.extra.hold=true"]
        train = [*TRAIN, *overrides, "tracking.sample_seconds=3600"]
        first = calls([*train, "trainer.seed=1"], places)
        few, many = (
            calls([*train, f"trainer.seed={saves}", f"checkpoint.every_steps={STEPS // saves}"], places)
            for saves in SAVES
        )
        per_save = {kind: round((many[kind] - few[kind]) / (SAVES[1] - SAVES[0]), 1) for kind in KINDS}
        figures = {
            f"train {STEPS} steps, data prepared": first,
            f"train {STEPS} steps, {SAVES[0]} checkpoints, data known": few,
            "each further checkpoint": per_save,
            "the same command again, the run completed": calls([*train, "trainer.seed=1"], places),
            "submit a run, the code frozen": calls([*held, "trainer.seed=10"], places),
            "submit a run, the code known": calls([*held, "trainer.seed=11"], places),
            "submit a sweep of 20": calls([*held, "-m", "trainer.seed=range(20,40)"], places),
        }
        environment = calls([*train, "trainer.seed=2", "trainer.steps=1"], [sys.prefix])
        run = next(path.parent for path in (folder / "runs").glob("*/*/result.json"))
        for verb in (["status", str(run)], ["logs", str(run)], ["why", str(run)], ["status"], ["list"]):
            words = [*PROGRAM, *verb, "--run-root", places[0]]
            figures["passingloop " + " ".join("RUN" if word == str(run) else word for word in verb)] = calls(
                words, places
            )
        entries = sum(1 for _ in run.rglob("*"))
    record(
        "metadata",
        {
            "calls": figures,
            "environment_of_a_run_in_a_shell": environment,
            "files_and_folders_of_a_run": entries,
            "runs": 25,
            "steps": STEPS,
        },
    )


def calls(command: list[str], places: list[str]) -> dict[str, float]:
    """The calls of a command and the processes it starts on what is in `places`, by kind."""
    with tempfile.NamedTemporaryFile("r") as trace:
        options = ["-f", "-y", "-qq", "-s", "300", "-e", "trace=%file,fsync,fdatasync,flock,fcntl,getdents64"]
        environment = os.environ | {"HF_HUB_OFFLINE": "1"}
        traced = ["strace", *options, "-o", trace.name, *command]
        subprocess.run(traced, env=environment, stdout=subprocess.DEVNULL, check=True)
        found: Counter[str] = Counter()
        for line in trace:
            if any(place in line for place in places) and (kind := kind_of(line)):
                found[kind] += 1
    return {kind: found[kind] for kind in KINDS}


def kind_of(line: str) -> str | None:
    fitting = [kind for kind, pattern in KINDS.items() if re.match(rf"\d+ +(?:{pattern})", line)]
    return fitting[-1] if fitting else None


def material_in(folder: Path) -> list[str]:
    """Overrides of a tiny run. In a process of its own, as it imports torch."""
    from small import words

    return words("classification", folder, STEPS)


if __name__ == "__main__":
    main()
