"""How soon the command line answers: `python bench/command_line.py [--save]`.

Peer: `python -c "import hydra"`, what every Hydra program pays. Rounds alternate; medians count.
"""

import statistics
import subprocess
import sys
import tempfile
import time

from record import ROOT, record

ROUNDS, LIMIT = 9, 1.0
TRAIN = [sys.executable, str(ROOT / "train.py")]
COMMANDS = {
    "import hydra": [sys.executable, "-c", "import hydra"],
    "--help": [*TRAIN, "--help"],
    "--cfg job": [*TRAIN, "--cfg", "job"],
    "a misspelt key": [*TRAIN, "optim.lrr=1e-4"],
    "a wrong value": [*TRAIN, "optim.lr=fast"],
    "a missing file": [*TRAIN, "data=files", "data.train=nowhere.csv"],
}

seconds: dict[str, list[float]] = {name: [] for name in COMMANDS}
with tempfile.TemporaryDirectory() as folder:
    for _ in range(ROUNDS):
        for name, command in COMMANDS.items():
            started = time.perf_counter()
            subprocess.run(command, cwd=folder, capture_output=True, check=False)
            seconds[name].append(time.perf_counter() - started)
medians = {name: statistics.median(times) for name, times in seconds.items()}
record(
    "command_line",
    {
        "median_seconds": {name: round(value, 3) for name, value in medians.items()},
        "over_import_hydra": {name: round(value / medians["import hydra"], 2) for name, value in medians.items()},
        "slowest_over_limit": round(max(medians.values()) / LIMIT, 3),
        "limit_seconds": LIMIT,
        "rounds": ROUNDS,
    },
)
