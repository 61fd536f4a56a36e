"""What a job is to do is read back as it was written; so are the files of versions before there was a number."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from passingloop.errors import RunError
from passingloop.rundir.directory import RunDir
from passingloop.rundir.tasks import PackTask, PrepareTask, Task, TrainTask, read_task, write_task

SETTINGS = {"name": "small", "run_mode": "0666"}
RUN = RunDir(Path("/runs/small/0123456789ab"))
CODE: dict[str, str | None] = {"version": "1.0", "commit": None, "changes": None}

TRAIN = TrainTask(run=RUN, code=CODE, settings=SETTINGS)
PREPARE = PrepareTask(runs=(RUN, RunDir(Path("/runs/small/other"))), settings=SETTINGS)
PACK = PackTask(members=(TRAIN, TrainTask(run=PREPARE.runs[1], code=CODE, settings=SETTINGS)), at_once=None)


@pytest.mark.parametrize("task", [TRAIN, PREPARE, PACK])
def test_a_task_is_read_as_it_was_written(tmp_path: Path, task: Task) -> None:
    write_task(tmp_path / "0000.json", task)
    assert read_task(tmp_path / "0000.json") == task


@pytest.mark.parametrize(
    ("content", "task"),
    [
        ({"run": str(RUN.path), "code": CODE, "config": SETTINGS}, TRAIN),
        ({"prepare": SETTINGS, "runs": [str(run.path) for run in PREPARE.runs]}, PREPARE),
    ],
)
def test_a_task_without_a_version_is_read(tmp_path: Path, content: dict[str, object], task: Task) -> None:
    """As jobs have it that were submitted before there was a version."""
    path = tmp_path / "0000.json"
    path.write_text(json.dumps(content))
    assert read_task(path) == task


def test_another_version_is_refused_in_a_sentence(tmp_path: Path) -> None:
    path = tmp_path / "0000.json"
    write_task(path, TRAIN)
    path.write_text(json.dumps(json.loads(path.read_text()) | {"version": 2}))
    with pytest.raises(RunError, match=r"0000\.json has format version 2, but this passingloop reads version 1\. Use"):
        read_task(path)
