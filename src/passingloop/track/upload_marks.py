"""``wandb/uploads.jsonl`` in a run directory: which of W&B's folders there W&B has, and with which content.

    {"time": "…", "address": "https://…", "rows": 120, "files": {"offline-run-2026…-abc": "<SHA-256>"}}

W&B's client writes a folder for each attempt. A line is added once an attempt has been uploaded while it trained, or
all of them have been by `passingloop sync`. Deleting the file means that everything is uploaded again.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from passingloop.files import append_json_line, read_json_lines, sha256
from passingloop.rundir.directory import RunDir
from passingloop.rundir.record import current_time

FILE = "uploads.jsonl"
FOLDERS = ("offline-run-*", "run-*")
"""What W&B's client calls the folders of attempts, offline and online."""


def wandb_files(run: RunDir) -> dict[str, Path]:
    """W&B's file of each attempt, by the name of its folder, oldest first."""
    files = (path for pattern in FOLDERS for path in (run.path / "wandb").glob(f"{pattern}/*.wandb"))
    return {path.parent.name: path for path in sorted(files, key=lambda path: path.parent.name.partition("run-")[2])}


def missing_uploads(run: RunDir) -> list[str]:
    """The folders that W&B does not have, or not as they are now."""
    files = wandb_files(run)
    if not files:
        return []
    marked: dict[str, str] = {}
    for row in read_json_lines(_path(run)):
        marked |= row.get("files", {})
    return [name for name, path in files.items() if name not in marked or marked[name] != sha256(path)]


def mark_uploaded(run: RunDir, names: Iterable[str], *, address: str, rows: int | None = None) -> None:
    """Keep that W&B has these folders as they are now.

    Raises:
        OSError: the mark cannot be written.
    """
    files = wandb_files(run)
    sums = {name: sha256(files[name]) for name in names if name in files}
    append_json_line(_path(run), {"time": current_time(), "address": address, "rows": rows, "files": sums})


def _path(run: RunDir) -> Path:
    return run.path / "wandb" / FILE
