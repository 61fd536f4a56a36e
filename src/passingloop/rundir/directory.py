"""The file names inside ``<run_root>/<name>/<signature>/``, and what is told of such a folder from outside."""

from __future__ import annotations

import os
import pwd
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from passingloop.files import read_json

MANIFEST = "manifest.json"
"""The file in a checkpoint that lists its files, sizes and checksums; it is written last."""


@dataclass(frozen=True, slots=True)
class RunDir:
    """The directory of one run. It holds everything about the run, in formats that need no program to read."""

    path: Path

    @property
    def short_name(self) -> str:
        """The experiment and the signature: ``bert/0123456789ab``."""
        return f"{self.path.parent.name}/{self.path.name}"

    @property
    def record(self) -> Path:
        """The run's configuration, code and data: written when the run is created, completed by its first attempt."""
        return self.path / "run.json"

    @property
    def config(self) -> Path:
        """The configuration as YAML, for people."""
        return self.path / "config.yaml"

    @property
    def measured(self) -> Path:
        """The measurements that the run goes by: see `passingloop.data.cache.measurements`."""
        return self.path / "measured.json"

    @property
    def attempts(self) -> Path:
        """The ledger: see `passingloop.rundir.ledger`."""
        return self.path / "attempts.jsonl"

    @property
    def metrics(self) -> Path:
        return self.path / "metrics.jsonl"

    @property
    def checkpoints(self) -> Path:
        return self.path / "checkpoints"

    def checkpoint(self, step: int) -> Path:
        return self.checkpoints / f"step-{step:08d}"

    def complete_checkpoints(self) -> list[Path]:
        """The folders of the checkpoints that have a manifest, newest first. A folder without one is never loaded."""
        folders = [path for path in self.checkpoints.glob("step-*") if re.fullmatch(r"step-\d{8}", path.name)]
        return sorted((path for path in folders if (path / MANIFEST).exists()), reverse=True)

    @property
    def saved_step(self) -> int:
        """The step of the newest complete checkpoint; 0 if there is none."""
        return next((int(path.name.removeprefix("step-")) for path in self.complete_checkpoints()), 0)

    @property
    def export(self) -> Path:
        """The model in Hugging Face format."""
        return self.path / "export"

    @property
    def result(self) -> Path:
        """The result; it exists only if the run is complete."""
        return self.path / "result.json"

    @property
    def marks(self) -> Path:
        """Tags and a note that people have given the run; it exists only in that case."""
        return self.path / "marks.json"

    @property
    def lock(self) -> Path:
        return self.path / "lock"

    @property
    def logs(self) -> Path:
        return self.path / "logs"

    @property
    def latest_log(self) -> Path:
        """A link to the log of the newest attempt."""
        return self.path / "log.txt"

    def log(self, attempt: int, rank: int) -> Path:
        return self.logs / f"attempt-{attempt:04d}-rank-{rank:04d}.txt"

    @property
    def pulse(self) -> Path:
        """The progress of the newest attempt; rewritten about every second."""
        return self.path / "pulse.json"

    @property
    def samples(self) -> Path:
        """What the nodes have been doing: see `passingloop.rundir.samples`."""
        return self.path / "samples"

    def samples_of(self, attempt: int, node: str) -> Path:
        return self.samples / f"attempt-{attempt:04d}-{node}.jsonl"

    def failure(self, attempt: int, rank: int) -> Path:
        """Why a process of an attempt failed; it exists only in that case."""
        return self.logs / f"attempt-{attempt:04d}-rank-{rank:04d}-failure.json"

    def launch(self, attempt: int) -> Path:
        """The settings of an attempt. They may differ from the record in those that do not change what is learned."""
        return self.path / "launches" / f"{attempt:04d}.json"

    def read_result(self) -> dict[str, Any] | None:
        """The content of the result; None if the run is not complete."""
        result: dict[str, Any] | None = read_json(self.result) if self.result.exists() else None
        return result


def folder_names(folder: str | os.PathLike[str]) -> list[str]:
    """The names of the folders in `folder`, sorted, without those of passingloop itself; none if it is closed to us."""
    try:
        with os.scandir(folder) as entries:
            names = [entry.name for entry in entries if entry.is_dir()]
    except OSError:
        return []
    return sorted(name for name in names if not name.startswith(".passingloop"))


@cache
def owner_name(user: int) -> str:
    """The name of the owner of a run; the user id where this machine has no name for it."""
    try:
        return pwd.getpwuid(user).pw_name
    except KeyError:
        return str(user)
