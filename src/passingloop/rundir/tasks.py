"""``tasks/NNNN.json`` of a submission: what a job is to do. Written and read here only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from passingloop.config.build import build
from passingloop.config.settings import RunConfig
from passingloop.files import check_version, read_json, write_json
from passingloop.rundir.code import Code
from passingloop.rundir.directory import RunDir

VERSION = 1
"""Of the layout of a submission's files, the tasks and ``submission.json``."""

Settings = Mapping[str, Any]
"""A configuration as `passingloop.config.build.to_plain` gives it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainTask:
    """Make attempts at a run."""

    run: RunDir
    code: Code
    """The version of the frozen code."""
    settings: Settings
    """Of the run."""

    @property
    def config(self) -> RunConfig:
        """`settings`, checked.

        Raises:
            ConfigError: this version of passingloop has other settings than the one that wrote them.
        """
        return build(RunConfig, self.settings)


@dataclass(frozen=True, kw_only=True, slots=True)
class PrepareTask:
    """Prepare the data of runs, and train nothing."""

    runs: tuple[RunDir, ...]
    """Those that wait for it."""
    settings: Settings
    """Of one of them."""


Task = TrainTask | PrepareTask


def write_task(path: Path, task: Task, *, durable: bool = True) -> None:
    """Write `task`; see `passingloop.files` for `durable`."""
    match task:
        case TrainTask(run=run, code=code, settings=settings):
            content: dict[str, Any] = {"run": str(run.path), "code": code, "config": settings}
        case PrepareTask(runs=runs, settings=settings):
            content = {"prepare": settings, "runs": [str(run.path) for run in runs]}
    write_json(path, {"version": VERSION, **content}, durable=durable)


def read_task(path: Path) -> Task:
    """What `write_task` wrote.

    Raises:
        OtherVersion: another version of passingloop wrote it in a way that this one does not know.
    """
    content = read_versioned(path)
    if "prepare" in content:
        runs = tuple(RunDir(Path(run)) for run in content["runs"])
        return PrepareTask(runs=runs, settings=content["prepare"])
    return TrainTask(run=RunDir(Path(content["run"])), code=content["code"], settings=content["config"])


def read_versioned(path: Path) -> dict[str, Any]:
    """The content of a file of a submission. Without a version it is of version 1, the first.

    Raises:
        OtherVersion: it has another version.
    """
    content: dict[str, Any] = read_json(path)
    remedy = "Use the version of passingloop that submitted it."
    check_version(str(path), content.get("version", VERSION), VERSION, remedy)
    return content
