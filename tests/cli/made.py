"""Run directories made by hand, as a launcher leaves them, and what a command says of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from passingloop.config.build import to_plain
from passingloop.config.settings import RunConfig
from passingloop.files import write_json
from passingloop.plan import rerun_folder, run_folder
from passingloop.rundir import ledger, record
from passingloop.rundir.directory import RunDir
from passingloop.rundir.events import Cause, End, Start
from tests.conftest import Compose, Finished

CODE: dict[str, Any] = {"version": "1", "commit": None, "changes": None}


@dataclass
class Runs:
    """Makes run directories as the launcher does, without training."""

    compose: Compose

    def new(self, *overrides: str, number: int = 1) -> RunDir:
        config = self.compose(*overrides)
        run = RunDir(rerun_folder(run_folder(config), number))
        run.path.mkdir(parents=True)
        record.create(run, config, CODE)
        return run

    def start(self, run: RunDir, config: RunConfig | None = None, **fields: Any) -> RunDir:
        attempt = ledger.read(run).next_attempt
        run.launch(attempt).parent.mkdir(exist_ok=True)
        run.logs.mkdir(exist_ok=True)
        run.log(attempt, 0).write_text(f"this is attempt {attempt}\n")
        if config:
            write_json(run.launch(attempt), to_plain(config))
        usual = {"launcher": "shell", "job_id": None, "nodes": ["here"], "processes": 1, "start_step": 0, "code": CODE}
        ledger.append(run, Start(attempt=attempt, **{**usual, **fields}))
        return run

    def end(self, run: RunDir, cause: Cause, step: int = 7, message: str | None = None) -> RunDir:
        number = ledger.read(run).next_attempt - 1
        ledger.append(run, End(attempt=number, end_step=step, cause=cause, message=message))
        return run

    def completed(self, *overrides: str, **started: Any) -> RunDir:
        run = self.end(self.start(self.new(*overrides), **started), "completed", 40)
        result = {"state": "completed", "steps": 40, "metrics": {"validation/loss": 0.3, "test/accuracy": 0.91239}}
        write_json(run.result, result)
        return run


def table(done: Finished) -> dict[str, list[str]]:
    """The words of each line but the header, by the run that it begins with."""
    assert done.code == 0, done.stderr
    words = [line.split() for line in done.stdout.splitlines()[1:]]
    return {first: rest for first, *rest in words}
