"""Resident memory as the data grow: `python bench/memory.py [--megabytes 50,200,800] [--save]`.

For each size a file of text is prepared and trained on, by `train.py` and a small Llama, a fresh run with a fresh cache
each; what is told is the most any single process had resident, until the data were prepared and after. What a gigabyte
adds, and what 20 GB would come to, follows by a line through the figures.
"""

import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
from record import ROOT, record
from small import ENVIRONMENT, words

LIMIT = 2048  # MiB per process
STEPS = 30
VOCABULARY = [
    f"{a}{b}{c}" for a in ("st", "tr", "pl", "qu", "m") for b in "aeiou" for c in ("n", "rk", "ll", "d", "sh")
]


def write_text(path: Path, megabytes: int) -> None:
    """Lines of a few dozen words, none like another."""
    random = np.random.default_rng(0)
    with path.open("w") as file:
        while file.tell() < megabytes * 1_000_000:
            for line in random.integers(0, len(VOCABULARY), (2000, 40)):
                file.write(" ".join(map(VOCABULARY.__getitem__, line)) + "\n")


def tree(root: int) -> list[int]:
    """The process `root` and all that come from it."""
    found = [root]
    for pid in found:
        for task in Path(f"/proc/{pid}/task").glob("*/children"):
            try:
                found += [int(child) for child in task.read_text().split()]
            except OSError:
                continue
    return found


def resident(pid: int) -> int:
    """KiB now."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS")), 0)


def measured(megabytes: int) -> dict[str, Any]:
    """The peaks of one run, MiB."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        overrides = [word for word in words("causal_lm", folder, STEPS) if not word.startswith("data")]
        write_text(folder / "text.txt", megabytes)
        peaks = {"preparing": 0, "training": 0}
        command = [sys.executable, str(ROOT / "train.py"), *overrides, "data=files", f"data.train={folder}/text.txt"]
        environment = os.environ | ENVIRONMENT
        process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        assert process.stderr
        said = threading.Thread(target=process.stderr.read, daemon=True)
        said.start()
        began = time.monotonic()
        while process.poll() is None:
            done = any(folder.glob("cache/tokens/*/meta.json"))
            phase = "training" if done else "preparing"
            peaks[phase] = max(peaks[phase], *map(resident, tree(process.pid)))
            time.sleep(0.05)
        if process.returncode:
            raise SystemExit(f"train.py ended with {process.returncode}")
        seconds = time.monotonic() - began
        return {"MB": megabytes, "seconds": round(seconds, 1)} | {k: round(v / 1024) for k, v in peaks.items()}


def main() -> None:
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    listed = sys.argv[sys.argv.index("--megabytes") + 1] if "--megabytes" in sys.argv else "50,200,800"
    runs = [measured(int(size)) for size in listed.split(",")]
    sizes = [run["MB"] / 1000 for run in runs]
    lines = {phase: np.polyfit(sizes, [run[phase] for run in runs], 1) for phase in ("preparing", "training")}
    record(
        "memory",
        {
            "what": "most resident memory of any process, MiB, by size of the text",
            "runs": runs,
            "MiB_per_GB": {phase: round(float(slope), 1) for phase, (slope, _) in lines.items()},
            "MiB_at_20_GB": {phase: round(float(slope * 20 + base)) for phase, (slope, base) in lines.items()},
            "limit_MiB": LIMIT,
        },
    )


if __name__ == "__main__":
    main()
