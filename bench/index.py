"""How soon commands about 20,000 runs answer: `python bench/index.py [--runs N] [--save]`.

Makes the directories of a user's runs by hand, as runs leave them that have ended, and asks for them with a cold index,
with a warm one, and with none. The commands are whole processes; `--help` says what of it is Python's start.
"""

from __future__ import annotations

import copy
import json
import os
import random
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from record import record

from passingloop.config.build import to_plain
from passingloop.config.compose import compose, settings
from passingloop.index.index_file import index_places

ROUNDS, LIMIT = 5, 1.0
NAMES = 50
COMMANDS = {
    "list --where (few)": ["list", "--where", "data.source=stdlib_docs and test/accuracy>0.999"],
    "list --where --sort (half)": ["list", "--where", "test/accuracy>0.5", "--sort", "-test/accuracy"],
    "list --json (all)": ["list", "--json"],
    "status NAME": ["status", "name-07"],
    "status": ["status"],
}


def main() -> None:
    count = int(sys.argv[sys.argv.index("--runs") + 1]) if "--runs" in sys.argv else 20_000
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "runs"
        make_runs(root, count)
        time.sleep(4.0)  # until the index may trust the times of the files
        cold, _ = seconds(root, COMMANDS["list --where (few)"])
        index = next(place for place in index_places(root) if place.exists())
        warm: dict[str, list[tuple[float, float]]] = {name: [] for name in COMMANDS}
        start = []
        for _ in range(ROUNDS):
            start.append(seconds(root, ["list", "--help"]))
            for name, command in COMMANDS.items():
                warm[name].append(seconds(root, command))
        size = index.stat().st_size
        touch_all(root)
        changed, _ = seconds(root, COMMANDS["list --where (few)"])
    medians = {name: median(times, 0) for name, times in warm.items()}
    record(
        "index",
        {
            "runs": count,
            "warm_seconds": medians,
            "warm_cpu_seconds": {name: median(times, 1) for name, times in warm.items()},
            "list_over_limit": round(medians["list --where (few)"] / LIMIT, 3),
            "limit_seconds": LIMIT,
            "python_start_seconds": median(start, 0),
            "cold_seconds": round(cold, 1),
            "all_changed_seconds": round(changed, 1),
            "index_bytes_per_run": round(size / count),
            "rounds": ROUNDS,
            "load": os.getloadavg()[0],
        },
    )


def make_runs(root: Path, count: int) -> None:
    """Nine of ten are completed, the others have failed."""
    composed = compose([])
    assert composed is not None
    config: dict[str, Any] = to_plain(settings(composed, root.parent))
    chance = random.Random(1)
    for number in range(count):
        folder = root / f"name-{number % NAMES:02d}" / f"{number:012x}"
        folder.mkdir(parents=True)
        mine = copy.deepcopy(config)
        mine["trainer"]["seed"], mine["optim"]["lr"] = number, chance.uniform(1e-5, 1e-3)
        write(folder / "config.yaml", "")
        head = {"schema": 1, "signature": folder.name, "created": "2026-11-03T09:15:02.118+00:00"}
        pinned = {"precision": "bf16", "data_fingerprint": {}, "model_fingerprint": {}}
        write(folder / "run.json", json.dumps({**head, "code": {}, "config": mine, **pinned}, indent=2))
        is_done = number % 10 > 0
        write(folder / "attempts.jsonl", "".join(json.dumps(event) + "\n" for event in events(is_done=is_done)))
        if is_done:
            metrics = {f"test/{name}": chance.random() for name in ("loss", "accuracy", "macro_f1")}
            write(folder / "result.json", json.dumps({"state": "completed", "steps": 400, "metrics": metrics}))


def events(*, is_done: bool) -> list[dict[str, Any]]:
    start = {"attempt": 1, "launcher": "shell", "job_id": None, "nodes": ["n1"], "processes": 1, "start_step": 0}
    cause = "completed" if is_done else "crash"
    found = [
        {"event": "start", "time": "2026-11-03T09:15:03.118+00:00", **start, "code": {}, "gpus": 1},
        {"event": "end", "time": "2026-11-03T10:15:03.118+00:00", "attempt": 1, "end_step": 400, "cause": cause},
    ]
    if not is_done:
        found.append(
            {"event": "decision", "time": found[-1]["time"], "attempt": 1, "action": "stop", "reason": "It failed."}
        )
    return found


def write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")


def touch_all(root: Path) -> None:
    for file in root.glob("*/*/run.json"):
        os.utime(file)


def median(times: list[tuple[float, float]], place: int) -> float:
    return round(statistics.median(time[place] for time in times), 3)


def seconds(root: Path, words: list[str]) -> tuple[float, float]:
    """Of one command, which must succeed: on the clock, and of CPU time."""
    program = shutil.which("passingloop", path=str(Path(sys.executable).parent)) or "passingloop"
    started, used = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    environment = os.environ | {"PASSINGLOOP_RUN_ROOT": str(root)}
    done = subprocess.run(
        [program, *words], env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(f"passingloop {' '.join(words)}: {done.stderr}")
    took, now = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    return took, now.ru_utime + now.ru_stime - used.ru_utime - used.ru_stime


if __name__ == "__main__":
    main()
