"""What successive halving finds beside the full grid: `python bench/sweep.py FOLDER [--limit N] [--tiny] [--save]`.

FOLDER has train.csv and test.csv of BANKING77 (https://github.com/PolyAI-LDN/task-specific-datasets, CC BY 4.0).
27 points, nine learning rates and three dropouts: each trained to the end by `sweep.search=grid`, and then, under
another name, by `sweep.search=halving`. Compared are the points that either chooses by validation loss, and the time of
the attempts: that of training (steps, evaluations, saves), which is what grows with a model and its data; and all of
it, with a start of some seconds for each attempt, of which halving has 39 for the grid's 27.

The runs are short, two epochs of 1,000 texts, so that it takes about 15 minutes on two idle cores; --limit sets another
number of texts. --tiny trains three points for 18 steps, to see that it works.
"""

import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from record import ROOT, option, record

LIMITS = {"share_of_training_time": 0.35, "accuracy_below_grid": 0.003}

METRIC = "validation/loss"
ACCURACIES = ("validation/accuracy", "test/accuracy")
RATES = ("1e-5", "3e-5", "1e-4", "2e-4", "4e-4", "8e-4", "1.6e-3", "3.2e-3", "6.4e-3")
DROPOUTS = ("0.0", "0.1", "0.2")

PARTS = ("starting", "training", "saving")

TINY = ("data.limit=400", "data.max_length=16", "trainer.epochs=null", "trainer.steps=18", "trainer.batch_size=8")


def main() -> None:
    data = Path(sys.argv[1])
    is_tiny = "--tiny" in sys.argv
    rates, dropouts = (RATES[2:5], ("0.1",)) if is_tiny else (RATES, DROPOUTS)
    words = [
        *("experiment=banking77", f"data.train={data}/train.csv", f"data.test={data}/test.csv", "tracking=none"),
        *("data.validation_fraction=0.05", "trainer.epochs=2", "trainer.batch_size=16"),
        f"data.limit={option('limit', 1000):.0f}",
        *(TINY if is_tiny else ()),
        f"optim.lr={','.join(rates)}",
        f"model.dropout={','.join(dropouts)}",
        f"sweep.metric={METRIC}",
    ]
    with tempfile.TemporaryDirectory() as folder:
        sweeps = {kind: swept(Path(folder), kind, words) for kind in ("grid", "halving")}
    grid, halving = sweeps["grid"], sweeps["halving"]
    record(
        "sweep",
        {
            "points": len(rates) * len(dropouts),
            "limit": None if is_tiny else option("limit", 1000),
            "sweeps": sweeps,
            "share_of_training_time": ratio(halving, grid, "training_seconds"),
            "share_of_all_time": ratio(halving, grid, "all_seconds"),
            "share_of_steps": ratio(halving, grid, "steps"),
            "same_point": halving["best"]["settings"] == grid["best"]["settings"],
            "accuracy_below_grid": {name: round(grid["best"][name] - halving["best"][name], 4) for name in ACCURACIES},
            "limits": LIMITS,
        },
    )


def swept(folder: Path, kind: str, words: list[str]) -> dict[str, Any]:
    """Train the points; the best of those that were trained to the end, and the time of all attempts."""
    root = f"run_root={folder}/runs"
    train = [sys.executable, str(ROOT / "train.py"), "-m", root, f"name={kind}", f"sweep.search={kind}", *words]
    subprocess.run(train, stdout=subprocess.DEVNULL, check=True)
    runs = sorted(path.parent for path in folder.glob(f"runs/{kind}/*/attempts.jsonl"))
    attempts = [attempt for run in runs for attempt in ended(run)]
    whole = [run for run in runs if (run / "result.json").exists()]
    found = {
        "attempts": len(attempts),
        "trained_to_the_end": len(whole),
        "steps": sum(attempt["steps"] for attempt in attempts),
        "training_seconds": round(sum(attempt["training"] + attempt["saving"] for attempt in attempts), 1),
        "all_seconds": round(sum(attempt[part] for attempt in attempts for part in PARTS), 1),
        "best": min(map(point, whole), key=lambda one: one[METRIC]),
    }
    shutil.rmtree(folder / "runs")  # half a gigabyte each
    return found


def ended(run: Path) -> list[dict[str, float]]:
    """Seconds and steps of the run's attempts."""
    events = [json.loads(line) for line in (run / "attempts.jsonl").read_text().splitlines()]
    begun = {event["attempt"]: event["start_step"] for event in events if event["event"] == "start"}
    ends = [event for event in events if event["event"] == "end"]
    return [end["seconds"] | {"steps": end["end_step"] - begun[end["attempt"]]} for end in ends]


def point(run: Path) -> dict[str, Any]:
    """The settings and the accuracies of a run that is complete."""
    config = json.loads((run / "run.json").read_text())["config"]
    metrics = json.loads((run / "result.json").read_text())["metrics"]
    settings = {"optim.lr": config["optim"]["lr"], "model.dropout": config["model"]["dropout"]}
    return {"settings": settings, **{name: metrics[name] for name in (METRIC, *ACCURACIES)}}


def ratio(one: dict[str, Any], other: dict[str, Any], key: str) -> float:
    return round(float(one[key]) / float(other[key]), 3)


if __name__ == "__main__":
    main()
