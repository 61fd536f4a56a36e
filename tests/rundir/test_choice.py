"""Which folder a run has: the newest of its signature, or a new one; and the modes of what is written there."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from passingloop.rundir import ledger, record
from passingloop.rundir.choice import choose_run
from passingloop.rundir.events import End
from passingloop.rundir.lock import acquire_lock
from tests.conftest import Compose

THEN = {"train": {"a.csv": "1", "b.csv": "2"}, "test": {"t.csv": "3"}}


@pytest.mark.parametrize(
    ("words", "folders", "files"),
    [((), 0o700, 0o600), (("run_mode=0750",), 0o750, 0o640), (("run_mode=770",), 0o770, 0o660)],
)
def test_folders_and_files_get_the_runs_mode(
    compose: Compose, work: Path, words: tuple[str, ...], folders: int, files: int
) -> None:
    config = compose(*words)
    run = choose_run(config)
    os.close(acquire_lock(run))
    record.create(run, config, {})
    record.pin_values(run, record.PinnedValues("bf16", THEN, None))
    ledger.append(run, End(attempt=1, end_step=0, cause="crash"))
    made = list(work.rglob("*"))
    assert {path.name for path in made if path.is_file()} == {"lock", "run.json", "config.yaml", "attempts.jsonl"}
    for path in made:
        mode = stat.S_IMODE(path.stat().st_mode)
        assert mode == (folders if path.is_dir() else files), f"{path} has mode {mode:o}"


def test_a_rerun_stands_beside_and_the_newest_is_continued(compose: Compose) -> None:
    def chosen(*words: str) -> str:
        run = choose_run(compose(*words))
        if not run.record.exists():
            record.create(run, compose(*words), {})
        return run.path.name

    first = chosen()
    assert chosen() == first
    assert chosen("rerun=true") == f"{first}.2"
    assert chosen() == chosen("tracking=none") == f"{first}.2", "the newest is continued"
    assert chosen("rerun=true") == f"{first}.3"
    assert "." not in chosen("trainer.seed=2", "rerun=true"), "another run has nothing to stand beside"
