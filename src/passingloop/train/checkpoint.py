"""Checkpoints: folders ``step-XXXXXXXX`` of safetensors and JSON with a manifest of checksums, and no pickle.

A folder is written beside, synced, and renamed; its manifest is written last. Loading checks every byte and goes back
to the one before if any differs.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from passingloop.errors import DamagedCheckpoint
from passingloop.rundir.atomic import read_json, sync_folder, write_json
from passingloop.rundir.layout import MANIFEST, RunDir
from passingloop.train import state

FILES = ("weights.safetensors", "optimizer.safetensors", "progress.json")
"""What a checkpoint consists of, beside its manifest."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far the run has come. Counts are over all attempts."""

    step: int = 0
    samples: int = 0
    tokens: int = 0
    train_seconds: float = 0.0


def save(run: RunDir, progress: Progress, module: torch.nn.Module, optimizer: torch.optim.Optimizer, keep: int) -> None:
    """Write the state as a new checkpoint of `run`; then only the newest `keep` stay."""
    path = run.checkpoint(progress.step)
    beside = path.with_name(f".{path.name}")
    shutil.rmtree(beside, ignore_errors=True)
    beside.mkdir(parents=True)
    save_file(_contiguous(state.weights(module)), beside / "weights.safetensors")
    save_file(_contiguous(state.moments(module, optimizer)), beside / "optimizer.safetensors")
    write_json(beside / "progress.json", {field: getattr(progress, field) for field in Progress.__slots__})
    _write_manifest(beside)
    shutil.rmtree(path, ignore_errors=True)
    beside.rename(path)
    sync_folder(path.parent)
    # Those of later steps are damaged: the run has gone back past them.
    kept = [saved for saved in run.saved() if saved <= path][:keep]
    for old in run.saved():
        if old not in kept:
            shutil.rmtree(old)


def newest_whole(run: RunDir, notice: Callable[[str], None]) -> Path | None:
    """The newest checkpoint whose every byte is what was written, or None. `notice` hears of damaged ones."""
    saved = run.saved()
    for path in saved:
        try:
            verify(path)
        except DamagedCheckpoint as damage:
            notice(f"{damage} Going back to the one before.")
        else:
            return path
    if saved:
        notice("No checkpoint is whole. Starting from the beginning.")
    return None


def restore(path: Path, module: torch.nn.Module, optimizer: torch.optim.Optimizer) -> Progress:
    """Put back a checkpoint; how far it had come."""
    state.restore(module, optimizer, load_file(path / "weights.safetensors"), load_file(path / "optimizer.safetensors"))
    return Progress(**read_json(path / "progress.json"))


def verify(path: Path) -> None:
    """Compare every file with the manifest.

    Raises:
        DamagedCheckpoint: a file is missing, or its size or checksum differs.
    """
    try:
        written = dict(read_json(path / MANIFEST)["files"])
    except (ValueError, KeyError, TypeError) as error:
        raise DamagedCheckpoint(f"The checkpoint {path} is damaged: its manifest cannot be read.") from error
    for name in FILES:
        if not (path / name).exists() or written.get(name) != _measured(path / name):
            raise DamagedCheckpoint(f"The checkpoint {path} is damaged: {name} is not what was written.")


def sha256(path: Path) -> str:
    """Checksum of a file's bytes, as hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _write_manifest(folder: Path) -> None:
    files = {}
    for file in sorted(folder.iterdir()):
        with file.open("rb") as written:
            os.fsync(written.fileno())
        files[file.name] = _measured(file)
    write_json(folder / MANIFEST, {"files": files})


def _measured(file: Path) -> dict[str, Any]:
    return {"size": file.stat().st_size, "sha256": sha256(file)}


def _contiguous(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name: tensor.detach().contiguous().cpu() for name, tensor in tensors.items()}
