"""Speed of fine-tuning beside HF Trainer: `python bench/throughput.py FOLDER [--save]`, with train.csv and test.csv.

MiniLM on BANKING77, one epoch, 32 texts a step, with the same learning rate, schedule and seed:

- passingloop: `python train.py`, with its defaults;
- HF Trainer as it comes: fp32, random batches, padded to their longest text;
- HF Trainer at its best: bf16, batches of like length, evaluation in larger batches (bench/peers/hf_trainer.py).

They take turns, each time in a process of its own; `--rounds 3`, and of all figures the medians count. Speeds are those
of the steps; evaluation (3,080 texts) and preparing (from the CSV files to tokens) are timed by themselves. Idle cores
are needed: the load of the machine is printed with the figures. For a quick try: `--steps 40`; for a test: `--tiny`,
without FOLDER.

`--precision fp32` is for CPUs without bf16 instructions, and the default there: then nobody computes in bf16.
`ONEDNN_MAX_CPU_ISA=AVX2` in the environment makes matrix products on a newer CPU as slow as on such a one.
"""

import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from children import figures_of
from record import ROOT, option, record
from texts import minilm
from untrained import text_lengths, write_model, write_questions

from passingloop.model.device.precision import has_bf16
from passingloop.rundir import events, ledger
from passingloop.rundir.directory import RunDir

BATCH, LENGTH, RATE = 32, 128, 3e-4
AS_IT_COMES, AT_ITS_BEST = "HF Trainer as it comes", "HF Trainer at its best"
TARGETS = {AS_IT_COMES: 5.0, AT_ITS_BEST: 1.35, "padding": 0.03, "accuracy_points": 0.5}
HIGHER_IS_BETTER = ("samples_per_second", "tokens_per_second")
PATIENCE = 3600.0


@dataclass(frozen=True)
class Work:
    """What all of them do."""

    folder: Path
    train: Path
    test: Path
    text: str
    label: str
    model: Path
    steps: int | None
    """None: one epoch."""
    bf16: bool

    def ours(self, seed: int) -> dict[str, Any]:
        folder = self.folder / f"ours-{seed}"
        words = [
            f"model.path={self.model}",
            "data=files",
            f"data.train={self.train}",
            f"data.test={self.test}",
            f"data.text={self.text}",
            f"data.label={self.label}",
            "data.validation_fraction=0",
            f"data.max_length={LENGTH}",
            f"run_root={folder}/runs",
            f"cache_root={folder}/cache",
            f"trainer.batch_size={BATCH}",
            f"trainer.steps={self.steps}" if self.steps else "trainer.epochs=1",
            f"trainer.precision={'bf16' if self.bf16 else 'fp32'}",
            f"trainer.seed={seed}",
            f"optim.lr={RATE}",
            "checkpoint.every=null",  # the peers save nothing either
            "tracking=none",
        ]
        prepared = figures_of("in_process.py", {"words": words, "prepare": str(folder) + ".json"}, PATIENCE)
        command = [sys.executable, str(ROOT / "train.py"), *words]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            sys.exit(done.stderr)
        run = RunDir(Path(done.stdout.strip()))
        result = json.loads(run.result.read_text(encoding="utf-8"))
        end = ledger.read(run).events_of(events.End)[-1]
        return {
            "steps": result["steps"],
            "samples": result["samples"],
            "tokens": result["tokens"],
            "data_wait": result["throughput"]["data_wait"],
            "padding": result["throughput"]["padding"],
            "train_seconds": result["train_seconds"],
            "evaluation_seconds": end.seconds.evaluating,
            "accuracy": result["metrics"]["test/accuracy"],
            **prepared,
        }

    def hf(self, seed: int, *, best: bool) -> dict[str, Any]:
        folder = self.folder / f"hf-{best}-{seed}"
        folder.mkdir()
        settings = {
            "folder": str(folder),
            "out": str(folder / "figures.json"),
            "train": str(self.train),
            "test": str(self.test),
            "text": self.text,
            "label": self.label,
            "model": str(self.model),
            "max_length": LENGTH,
            "batch_size": BATCH,
            "lr": RATE,
            "steps": self.steps,
            "seed": seed,
            "bf16": self.bf16 and best,
            "best": best,
        }
        figures = figures_of("peers/hf_trainer.py", settings, PATIENCE)
        if "absent" in figures:
            sys.exit(figures["absent"])
        return figures


def main(work: Work, rounds: int) -> None:
    competitors: dict[str, Callable[[int], dict[str, Any]]] = {
        "passingloop": work.ours,
        AT_ITS_BEST: lambda seed: work.hf(seed, best=True),
        AS_IT_COMES: lambda seed: work.hf(seed, best=False),
    }
    taken: dict[str, list[dict[str, Any]]] = {name: [] for name in competitors}
    load = [os.getloadavg()[0]]
    for seed in range(1, rounds + 1):
        for name, compete in competitors.items():
            figures = timed(lambda compete=compete, seed=seed: compete(seed))
            print(f"round {seed}, {name}: {figures}", file=sys.stderr, flush=True)
            taken[name].append(figures)
            load.append(os.getloadavg()[0])
    medians = {name: median_figures(rows) for name, rows in taken.items()}
    record(
        "throughput",
        {
            "figures": medians,
            "times_as_fast": {name: over(medians["passingloop"], medians[name]) for name in (AS_IT_COMES, AT_ITS_BEST)},
            "accuracy_points_over": {
                name: round(100 * (medians["passingloop"]["accuracy"] - medians[name]["accuracy"]), 2)
                for name in (AS_IT_COMES, AT_ITS_BEST)
            },
            "targets": TARGETS,
            "rounds": taken,
            "load": [round(one, 1) for one in load],
            "conditions": {
                "batch": BATCH,
                "longest": LENGTH,
                "learning_rate": RATE,
                "steps": work.steps or "one epoch",
                "precision": "bf16, as it comes fp32" if work.bf16 else "fp32",
                "torch": torch.__version__,
                "isa": os.environ.get("ONEDNN_MAX_CPU_ISA"),
            },
        },
    )


def timed(compete: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """The figures with rates, and what all processes took from start to end: seconds, and seconds of CPU."""
    began, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    figures = compete()
    seconds, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    figures |= {f"{what}_per_second": figures[what] / figures["train_seconds"] for what in ("samples", "tokens")}
    return figures | {"seconds_in_all": seconds, "cpu_seconds_in_all": cpu}


def median_figures(rows: list[dict[str, Any]]) -> dict[str, float | None]:
    """Of each figure; None of one that is missing in a round."""
    values = {name: [row[name] for row in rows] for name in rows[0]}
    return {name: None if None in each else round(statistics.median(each), 4) for name, each in values.items()}


def over(ours: dict[str, Any], peer: dict[str, Any]) -> dict[str, float]:
    """How many times as fast we are, in each respect."""
    faster = {name: ours[name] / peer[name] for name in HIGHER_IS_BETTER}
    faster |= {name: peer[f"{name}_seconds"] / ours[f"{name}_seconds"] for name in ("evaluation", "prepare")}
    return {name: round(ratio, 3) for name, ratio in faster.items()}


def banking77(data: Path, folder: Path, steps: int | None, bf16: bool) -> Work:
    return Work(folder, data / "train.csv", data / "test.csv", "text", "category", minilm(), steps, bf16)


def tiny(folder: Path, steps: int | None, bf16: bool) -> Work:
    """An untrained encoder of two layers, and texts of random words: says whether the script works."""
    questions = write_questions(folder / "questions.csv", text_lengths(400, 13, 40))
    model = write_model("tiny encoder", folder / "model")
    return Work(folder, questions, questions, "text", "label", model, steps or 4, bf16)


if __name__ == "__main__":
    wanted = sys.argv[sys.argv.index("--precision") + 1] if "--precision" in sys.argv else "auto"
    assert wanted in ("auto", "bf16", "fp32"), wanted
    in_bf16 = wanted == "bf16" or (wanted == "auto" and has_bf16(torch.device("cpu")))
    limit = int(option("steps", 0)) or None
    with tempfile.TemporaryDirectory() as place:
        work = (
            tiny(Path(place), limit, in_bf16)
            if "--tiny" in sys.argv
            else banking77(Path(sys.argv[1]).resolve(), Path(place), limit, in_bf16)
        )
        main(work, int(option("rounds", 1 if "--tiny" in sys.argv else 3)))
