"""The names inside ``<run_root>/<name>/<signature>/``."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from passingloop.files import read_json

MANIFEST = "manifest.json"
"""In every checkpoint: its files, sizes and checksums; written last."""


@dataclass(frozen=True, slots=True)
class RunDir:
    """One run's directory. Everything about the run is in it, readable without this program."""

    path: Path

    @property
    def record(self) -> Path:
        """What the run is: written when it is created, completed by its first attempt."""
        return self.path / "run.json"

    @property
    def config(self) -> Path:
        """The configuration for people."""
        return self.path / "config.yaml"

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

    def saved(self) -> list[Path]:
        """The checkpoints that have a manifest, newest first. Others do not exist as far as loading is concerned."""
        named = [path for path in self.checkpoints.glob("step-*") if re.fullmatch(r"step-\d{8}", path.name)]
        return sorted((path for path in named if (path / MANIFEST).exists()), reverse=True)

    @property
    def saved_step(self) -> int:
        """The newest checkpoint's step; 0 without any."""
        return next((int(path.name.removeprefix("step-")) for path in self.saved()), 0)

    @property
    def export(self) -> Path:
        """The model in Hugging Face format."""
        return self.path / "export"

    @property
    def result(self) -> Path:
        """Exists only when the run is complete."""
        return self.path / "result.json"

    @property
    def lock(self) -> Path:
        return self.path / "lock"

    @property
    def logs(self) -> Path:
        return self.path / "logs"

    @property
    def latest_log(self) -> Path:
        """A link to the newest attempt's log."""
        return self.path / "log.txt"

    def log(self, attempt: int, rank: int) -> Path:
        return self.logs / f"attempt-{attempt:04d}-rank-{rank:04d}.txt"

    @property
    def pulse(self) -> Path:
        """How far the newest attempt has come; replaced about every second."""
        return self.path / "pulse.json"

    def failure(self, attempt: int, rank: int) -> Path:
        """Why a process of an attempt failed; exists only if it did."""
        return self.logs / f"attempt-{attempt:04d}-rank-{rank:04d}-failure.json"

    def launch(self, attempt: int) -> Path:
        """The settings an attempt was launched with: they may differ from the record in where and how."""
        return self.path / "launches" / f"{attempt:04d}.json"

    def finished(self) -> dict[str, Any] | None:
        """The result, if the run is complete."""
        result: dict[str, Any] | None = read_json(self.result) if self.result.exists() else None
        return result
