"""Points of a search, and their runs as training leaves them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from passingloop.config.settings import RunConfig
from passingloop.files import write_json
from passingloop.rundir import ledger, record
from passingloop.rundir.choice import choose_run
from passingloop.rundir.directory import RunDir
from passingloop.rundir.events import Cancel, Cause, End, Queued, Start
from passingloop.search.decision_round import decide
from passingloop.search.enrolment import add_points, sweep_file
from passingloop.search.sweep_ledger import SweepFile, SweepLedger
from passingloop.track.metrics_file import MetricsFile
from tests.conftest import Compose

STEPS = 90
"""Of the whole training: rungs are after 10 and 30 of them."""


class Sweep:
    """A search whose points differ in their seeds, by which tests name them."""

    def __init__(self, compose: Compose, *words: str, **search: Any) -> None:
        config = compose(f"trainer.steps={STEPS}", "sweep.search=halving", *words)
        self._config = replace(config, sweep=replace(config.sweep, **search))
        self._seeds: dict[RunDir, int] = {}

    def config(self, seed: int) -> RunConfig:
        return replace(self._config, trainer=replace(self._config.trainer, seed=seed))

    def add(self, *seeds: int) -> None:
        add_points([self.config(seed) for seed in seeds], one_by_one=False)
        self._seeds |= {self.run(seed): seed for seed in seeds}

    @property
    def file(self) -> SweepFile:
        return sweep_file(self.config(1))

    @property
    def content(self) -> SweepLedger:
        sweep = self.file.read()
        assert sweep
        return sweep

    def run(self, seed: int) -> RunDir:
        return choose_run(self.config(seed))

    def decide(self, by: str = "a test", without: int | None = None) -> set[tuple[int, int]]:
        """The seeds of the points that are to be trained, each with its rung."""
        owed = decide(self.file, by, self.run(without) if without else None)
        return {(self._seeds[each.run], each.rung) for each in owed}

    def owed(self) -> list[RunDir]:
        """The runs that are to be trained."""
        return [each.run for each in decide(self.file, "a test")]

    def begin(self, seed: int) -> None:
        """As a launcher begins an attempt."""
        run = self.run(seed)
        if not run.record.exists():
            record.create(run, self.config(seed), {})
        attempt = ledger.read(run).next_attempt
        given = {"launcher": "shell", "job_id": None, "nodes": ["here"], "processes": 1, "start_step": 0, "code": {}}
        ledger.append(run, Start(attempt=attempt, **given))

    def end(self, seed: int, cause: Cause, step: int, **values: float) -> None:
        """As an attempt ends, after a validation."""
        run = self.run(seed)
        attempt = ledger.read(run).next_attempt - 1
        with MetricsFile(run.metrics, attempt) as metrics:
            metrics.write(step, "validation", values)
        ledger.append(run, End(attempt=attempt, end_step=step, cause=cause))
        if cause == "completed":
            write_json(run.result, {"steps": step, "metrics": {}})

    def reach(self, seed: int, step: int, **values: float) -> None:
        """Train to a rung, or to the end."""
        self.begin(seed)
        self.end(seed, "completed" if step == STEPS else "paused", step, **values)

    def queue(self, seed: int) -> None:
        ledger.append(self.run(seed), Queued(submission="a-submission", job_id="1"))

    def cancel(self, seed: int) -> None:
        ledger.append(self.run(seed), Cancel())
