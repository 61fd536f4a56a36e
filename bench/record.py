"""Print a benchmark's figures, and keep them as a dated file where `--save` is given."""

import datetime
import json
import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]


def record(name: str, figures: dict[str, Any]) -> None:
    """Print `figures`; with ``--save`` on the command line write docs/results/<date>-<name>.json as well."""
    report = {"benchmark": name, "date": datetime.date.today().isoformat(), "machine": machine(), **figures}
    print(json.dumps(report, indent=2))
    if "--save" in sys.argv:
        path = ROOT / "docs" / "results" / f"{report['date']}-{name}.json"
        path.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")


def machine() -> dict[str, Any]:
    """What the figures depend on."""
    with Path("/proc/cpuinfo").open() as file:
        model = next((line.split(":")[1].strip() for line in file if line.startswith("model name")), "unknown")
    commit = subprocess.run(
        ["git", "-C", str(ROOT), "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False
    )
    return {
        "cpu": model,
        "cores": len(os.sched_getaffinity(0)),
        "python": platform.python_version(),
        "commit": commit.stdout.strip(),
    }


def train(*overrides: str, folder: Path) -> dict[str, Any]:
    """Run train.py afresh under `folder`; its result, with the seconds the whole command took."""
    started = datetime.datetime.now()
    command = [sys.executable, str(ROOT / "train.py"), f"run_root={folder}/runs", "tracking=none", *overrides]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    result: dict[str, Any] = json.loads((Path(done.stdout.strip()) / "result.json").read_text())
    return result | {"command_seconds": round((datetime.datetime.now() - started).total_seconds(), 1)}


def option(name: str, default: float) -> float:
    """The value of ``--name`` on the command line."""
    return float(sys.argv[sys.argv.index(f"--{name}") + 1]) if f"--{name}" in sys.argv else default
