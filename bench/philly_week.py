"""A week of a real cluster under two policies: `python bench/philly_week.py [--save] [--days D] [--load L …]`.

As root, with the trace at ../shared/data/philly-week/jobs.csv: the 5,869 jobs that 12 groups submitted in the week of
2017-11-13 to Microsoft's Philly (Jeon et al., USENIX ATC 2019). 120 users are spread over the groups, a tenth of the
1-GPU jobs is made interactive, 30 % of the others' GPU-hours are of the QOS scavenger, and 64 nodes of 8 GPUs run them:
first come, first served with backfill (slurm/fifo.yaml), and slurm/policy.yaml with an account for each group. Without
--load the week is replayed as it was, which asked for about half of the GPUs; with it jobs are copied, or left out,
until they ask for that share.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from record import ROOT, record

JOBS = ROOT.parent / "shared/data/philly-week/jobs.csv"
NODES, GPUS = 64, 8
WORDS = "users=120,interactive=0.1,scavenger=0.3,limits=3-0"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--save", action="store_true", help="write docs/results/<date>-philly_week.json; with --load …-philly_load.json"
    )
    parser.add_argument("--jobs", type=Path, default=JOBS, help=f"the trace; {JOBS} unless given")
    parser.add_argument("--days", type=float, default=7.0, help="of the week; 7 unless given")
    parser.add_argument("--first-day", type=float, default=1.0, help="the first of them; 1 unless given")
    parser.add_argument("--load", type=float, nargs="*", default=[], help="shares of all GPUs, such as 0.8 0.95")
    options = parser.parse_args()
    if not options.jobs.exists():
        sys.exit(f"{options.jobs} is not there. Say where the trace is: --jobs FILE.")
    trace = f"{options.jobs.resolve()},days={options.days},first_day={options.first_day},{WORDS}"
    runs = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "policy.yaml").write_text(policy(options.jobs))
        for load in options.load or [None]:
            words = trace if load is None else f"{trace},load={load}"
            runs["as it was" if load is None else f"load {load:g}"] = replay(folder, words)
    name = "philly_load" if options.load else "philly_week"
    record(
        name, {"days": options.days, "first_day": options.first_day, "nodes": NODES, "gpus": NODES * GPUS, "runs": runs}
    )


def policy(jobs: Path) -> str:
    """The recommended policy with an account for each group, each with the same share."""
    text = (ROOT / "slurm/policy.yaml").read_text()
    groups = sorted({line.split(",")[3] for line in jobs.read_text().splitlines()[1:]})
    accounts = "".join(f'  "{group}": {{shares: 1}}\n' for group in groups)
    found, count = re.subn(r"(?ms)^  # Shares count among.*?(?=^# users:)", f"{accounts}\n", text)
    assert count == 1, "slurm/policy.yaml has another form"
    return found


def replay(folder: Path, trace: str) -> dict[str, Any]:
    began = time.monotonic()
    done = subprocess.run(
        [
            *(sys.executable, str(ROOT / "scripts/slurm-policy"), "simulate", "policy.yaml"),
            *(
                "--against",
                str(ROOT / "slurm/fifo.yaml"),
                "--trace",
                trace,
                "--nodes",
                str(NODES),
                "--gpus",
                str(GPUS),
                "--json",
            ),
        ],
        cwd=folder,
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    if done.returncode not in (0, 1):  # 1 is the verdict
        sys.exit(done.returncode)
    said = json.loads(done.stdout)
    return {
        "seconds": round(time.monotonic() - began),
        "processor load": os.getloadavg()[0],
        "policy": figures(said["policy"]),
        "fifo": figures(said["against"]),
        "objectives": [{key: one[key] for key in ("objective", "found", "is_met")} for one in said["objectives"]],
        "left out": said["left_out"],
    }


def figures(found: dict[str, Any]) -> dict[str, Any]:
    kept = ("factor", "overhead", "load", "utilisation", "jain")
    named = {name: round(one["value"], 4) for name, one in found["named"].items() if not name.startswith("accounts.")}
    return {key: round(found[key], 4) for key in kept if found[key] is not None} | {"named": named}


if __name__ == "__main__":
    main()
