"""What a decision of a search of 1,000 points takes: `python bench/sweep_round.py [--points N] [--save]`.

Makes the ledger of a search and the directories of its runs by hand, and holds rounds of decisions, as the command
does, and the job of a run that has come to its rung. CPU seconds of the round alone: Python's start and sbatch are not
in it, and there is no Slurm to ask, so that every job counts as one that may still train.
"""

from __future__ import annotations

import json
import os
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from statistics import median

from record import option, record

from passingloop.config.compose import compose, settings
from passingloop.rundir import ledger
from passingloop.rundir.choice import newest_run
from passingloop.rundir.directory import RunDir
from passingloop.rundir.events import End, Queued, Start
from passingloop.search.decision_round import decide
from passingloop.search.enrolment import add_points, config_to_rung

ROUNDS, LIMIT = 3, 1.0
STEPS, ETA, RUNGS = 900, 3, 3
RUNG = STEPS // ETA ** (RUNGS - 1)
"""The step of the first one."""


def main() -> None:
    count = int(option("points", 1000))
    path = os.environ["PATH"]
    found = [figures(count) for _ in range(ROUNDS)]
    os.environ["PATH"] = path
    medians = {name: round(median(one[name] for one in found), 3) for name in found[0]}
    record(
        "sweep_round",
        {
            "points": count,
            "cpu_seconds": medians,
            "largest_over_limit": round(max(medians.values()) / LIMIT, 3),
            "limit_seconds": LIMIT,
            "rounds": ROUNDS,
            "load": os.getloadavg()[0],
        },
    )


def figures(count: int) -> dict[str, float]:
    """CPU seconds of rounds in which all points begin; all but one have come to the first rung, and nobody has decided
    meanwhile, as if Slurm had not answered; the last one comes, and a third goes on. Of asha, half of whose points have
    been there: when one comes, and when nothing is new. And of a run that asks how far it is to train.
    """
    with tempfile.TemporaryDirectory() as folder:
        halving, asha = (Search(Path(folder) / kind, kind, count) for kind in ("halving", "asha"))
        os.environ["PATH"] = ""
        begin = halving.decide()
        asha.decide()
        for search in (halving, asha):
            search.submit()
        halving.reach(range(count - 1))
        many = halving.decide()
        halving.reach(range(count - 1, count))
        last = halving.decide()
        asha.reach(range(count // 2))
        asha.decide()
        asha.reach(range(count // 2, count // 2 + 1))
        return {
            "all begin": begin,
            "all but one have come": many,
            "halving, the last comes": last,
            "asha, one comes": asha.decide(),
            "nothing is new": asha.decide(),
            "a run asks": asha.ask(),
        }


class Search:
    """One whose points differ in their seeds."""

    def __init__(self, root: Path, kind: str, count: int) -> None:
        composed = compose([f"run_root={root}", "name=made", f"trainer.steps={STEPS}", f"sweep.search={kind}"])
        assert composed is not None
        first = settings(composed, root)
        self.configs = [replace(first, trainer=replace(first.trainer, seed=seed)) for seed in range(1, count + 1)]
        self.file = add_points(self.configs, one_by_one=False)
        self.runs = [newest_run(config) for config in self.configs]

    def submit(self) -> None:
        """All runs, in one array."""
        for number, run in enumerate(self.runs):
            run.path.mkdir(parents=True)
            ledger.append(run, Queued(submission="made", job_id=f"1_{number}"), durable=False)

    def reach(self, numbers: range) -> None:
        """Train the runs `numbers` to the first rung."""
        for number in numbers:
            come_to_rung(self.runs[number], f"1_{number}", loss=1 + number / 1e6)

    def decide(self) -> float:
        """CPU seconds of a round."""
        begun = time.process_time()
        decide(self.file, "job 1")
        return time.process_time() - begun

    def ask(self) -> float:
        begun = time.process_time()
        config_to_rung(self.runs[0], self.configs[0])
        return time.process_time() - begun


def come_to_rung(run: RunDir, job_id: str, loss: float) -> None:
    """As a job leaves the run that has trained it to the first rung."""
    given = {"launcher": "slurm", "submission": "made", "job_id": job_id, "nodes": ["n1"], "processes": 1, "code": {}}
    ledger.append(run, Start(attempt=1, start_step=0, **given), durable=False)
    training = [{"attempt": 1, "step": step, "split": "train", "loss": 2.0} for step in range(1, RUNG + 1)]
    rows = [*training, {"attempt": 1, "step": RUNG, "split": "validation", "loss": loss}]
    run.metrics.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    ledger.append(run, End(attempt=1, end_step=RUNG, cause="paused"), durable=False)


if __name__ == "__main__":
    main()
