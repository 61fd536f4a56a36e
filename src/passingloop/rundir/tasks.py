"""``tasks/NNNN.json`` of a submission: what a job must do."""

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
"""Format version of a submission's files: of the tasks, and of ``submission.json``."""

Settings = Mapping[str, Any]
"""A configuration as `passingloop.config.build.to_plain` gives it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainTask:
    """A job that trains a run."""

    run: RunDir
    code: Code
    """The version of the frozen code."""
    settings: Settings
    """The run's settings."""

    @property
    def config(self) -> RunConfig:
        """`settings` as a checked configuration.

        Raises:
            ConfigError: this version of passingloop does not accept them.
        """
        return build(RunConfig, self.settings)


@dataclass(frozen=True, kw_only=True, slots=True)
class PrepareTask:
    """A job that prepares the data of runs, and trains nothing."""

    runs: tuple[RunDir, ...]
    """The runs that wait for it."""
    settings: Settings
    """The settings of one of these runs."""


Task = TrainTask | PrepareTask


def write_task(path: Path, task: Task, *, durable: bool = True) -> None:
    """Write `task`; for `durable` see `passingloop.files.write_text`."""
    match task:
        case TrainTask(run=run, code=code, settings=settings):
            content: dict[str, Any] = {"run": str(run.path), "code": code, "config": settings}
        case PrepareTask(runs=runs, settings=settings):
            content = {"prepare": settings, "runs": [str(run.path) for run in runs]}
    write_json(path, {"version": VERSION, **content}, durable=durable)


def read_task(path: Path) -> Task:
    """Read what `write_task` wrote.

    Raises:
        OtherVersion: it has another format version.
    """
    content = read_versioned(path)
    if "prepare" in content:
        runs = tuple(RunDir(Path(run)) for run in content["runs"])
        return PrepareTask(runs=runs, settings=content["prepare"])
    return TrainTask(run=RunDir(Path(content["run"])), code=content["code"], settings=content["config"])


def read_versioned(path: Path) -> dict[str, Any]:
    """The content of a submission's file. A file without a version has version 1.

    Raises:
        OtherVersion: it has another version.
    """
    content: dict[str, Any] = read_json(path)
    remedy = "Use the version of passingloop that submitted it."
    check_version(str(path), content.get("version", 1), VERSION, remedy)
    return content
