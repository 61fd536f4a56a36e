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

MEASURED_MEMBERS = 4
"""Runs in a pack where the job measures how many of them train at once."""

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


@dataclass(frozen=True, kw_only=True, slots=True)
class PackTask:
    """A job that trains several runs side by side (`sweep.pack`)."""

    members: tuple[TrainTask, ...]
    at_once: int | None
    """How many train at the same time at most; None: as many as fit, which the job measures."""

    @property
    def share(self) -> int:
        """Among how many runs GPU and CPUs are shared.

        If the job measures how many fit, this is the most that may: the number of tokens in a forward pass, which
        follows from it, must not change within a run.
        """
        return min(self.at_once or MEASURED_MEMBERS, len(self.members))

    def member(self, run: RunDir) -> TrainTask:
        """The task of one of its runs."""
        return next(member for member in self.members if member.run == run)


Task = TrainTask | PrepareTask | PackTask


def write_task(path: Path, task: Task, *, durable: bool = True) -> None:
    """Write `task`; for `durable` see `passingloop.files.write_text`."""
    match task:
        case TrainTask():
            content = _train_content(task)
        case PackTask(members=members, at_once=at_once):
            content = {"pack": list(map(_train_content, members)), "at_once": at_once}
        case PrepareTask(runs=runs, settings=settings):
            content = {"prepare": settings, "runs": [str(run.path) for run in runs]}
    write_json(path, {"version": VERSION, **content}, durable=durable)


def _train_content(task: TrainTask) -> dict[str, Any]:
    return {"run": str(task.run.path), "code": task.code, "config": task.settings}


def _train_task(content: Mapping[str, Any]) -> TrainTask:
    return TrainTask(run=RunDir(Path(content["run"])), code=content["code"], settings=content["config"])


def read_task(path: Path) -> Task:
    """Read what `write_task` wrote.

    Raises:
        OtherVersion: it has another format version.
    """
    content = read_versioned(path)
    if "prepare" in content:
        runs = tuple(RunDir(Path(run)) for run in content["runs"])
        return PrepareTask(runs=runs, settings=content["prepare"])
    if "pack" in content:
        return PackTask(members=tuple(map(_train_task, content["pack"])), at_once=content["at_once"])
    return _train_task(content)


def read_versioned(path: Path) -> dict[str, Any]:
    """The content of a submission's file. A file without a version has version 1.

    Raises:
        OtherVersion: it has another version.
    """
    content: dict[str, Any] = read_json(path)
    remedy = "Use the version of passingloop that submitted it."
    check_version(str(path), content.get("version", 1), VERSION, remedy)
    return content
