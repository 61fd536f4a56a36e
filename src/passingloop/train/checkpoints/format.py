"""Checkpoints: folders ``step-XXXXXXXX`` of safetensors and JSON with a manifest of checksums.

A folder is written under a hidden name, synced, and renamed; its manifest is written last. Loading checks every byte,
and takes the checkpoint before if any differs.
"""

from __future__ import annotations

import math
import os
import re
import shutil
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from passingloop.errors import DamagedCheckpoint, NotSaved
from passingloop.files import read_json, sync_folder, write_json
from passingloop.rundir.directory import RunDir
from passingloop.rundir.fence import Fence
from passingloop.train.checkpoints import tensors
from passingloop.train.checkpoints.manifest import PROGRESS, Measured, verify, write_manifest
from passingloop.train.meters.tally import Tally
from passingloop.train.optim.optimizer import Optimizer

WEIGHTS, OPTIMIZER = "weights.safetensors", "optimizer.safetensors"


@dataclass(frozen=True, slots=True)
class Progress:
    """How far the run has come. Counts are over all attempts."""

    step: int = 0
    samples: int = 0
    tokens: int = 0
    train_seconds: float = 0.0
    validation_loss: float | None = None
    """Validation loss after this step; None if it was not measured."""
    tally: Tally = field(default_factory=Tally)
    """Empty in checkpoints of earlier versions: it is then of the steps after them."""


def write(
    run: RunDir,
    progress: Progress,
    fill: Callable[[Path], Mapping[str, Measured]],
    fence: Fence,
    *,
    keep: int,
    keep_best: bool,
) -> None:
    """Write a new checkpoint of `run`; then only the newest `keep` stay, and perhaps the best.

    The order makes a checkpoint visible only when all of it is on the disk, whenever the process is killed:

    1. Unfinished folders of killed processes are removed, to make room.
    2. All files are written into a hidden folder and synced; the manifest with their checksums is last.
    3. The folder is renamed. Readers see it from here on.
    4. The parent folder is synced, so that the rename survives a power failure.
    5. Only now are older checkpoints removed: at any moment there is a whole one.

    Args:
        fill: writes the tensors' files into a folder; returns those that it has measured, by name.

    Raises:
        NotSaved: it cannot be written. Nothing is left of it, and all other checkpoints are as before.
        Superseded: a newer attempt has started, and this is not the run's checkpoint any more.
    """
    path = run.checkpoint(progress.step)
    folder = partial_path(path, fence.attempt)
    fence.check()
    try:
        _remove_debris(run)
        folder.mkdir(parents=True)
        measured = fill(folder)
        write_json(folder / PROGRESS, asdict(progress))
        write_manifest(folder, measured)
        fence.check()
        _replace(folder, path)
        sync_folder(path.parent)
    except (OSError, SafetensorError, NotSaved) as error:  # the second where the file is written by safetensors
        shutil.rmtree(folder, ignore_errors=True)
        raise NotSaved(f"The checkpoint {path} cannot be written: {_reason(error)}.") from error
    _prune(run, path, keep, keep_best=keep_best)


def partial_path(path: Path, attempt: int) -> Path:
    """Where the checkpoint `path` is written by `attempt` until it is complete."""
    return path.with_name(f".{path.name}.attempt-{attempt}")


def write_tensors(folder: Path, weights: Mapping[str, Tensor], optimizer_state: Mapping[str, Tensor]) -> None:
    """The files of tensors of a checkpoint that one process writes."""
    save_file(dict(weights), folder / WEIGHTS)
    save_file(dict(optimizer_state), folder / OPTIMIZER)


def best_loss(run: RunDir, up_to: Path) -> float:
    """The lowest validation loss of a checkpoint that is not newer than `up_to`; infinity if none has any."""
    return min(_losses(run, up_to).values(), default=math.inf)


def newest_whole(run: RunDir, notice: Callable[[str], None]) -> Path | None:
    """The newest checkpoint whose every byte is what was written, or None. `notice` is called for damaged ones."""
    saved = run.complete_checkpoints()
    for path in saved:
        try:
            verify(path)
            _progress(path)
        except DamagedCheckpoint as damage:
            notice(f"{damage} Going back to the one before.")
        else:
            return path
    if saved:
        notice("No checkpoint is whole. Starting from the beginning.")
    return None


def restore(path: Path, module: torch.nn.Module, optimizer: Optimizer, *, sharded: bool) -> Progress:
    """Put back a checkpoint, whole or in shards, into a module that is spread over the processes (`sharded`) or not.

    Returns how far it had come.
    """
    if sharded or not (path / WEIGHTS).exists():
        from passingloop.train.checkpoints import shards  # slow to import, and needed for shards only

        weights, state = tensors.weights(module), tensors.blank_state(module, optimizer)
        shards.load(path, weights | state)
    else:
        weights, state = load_file(path / WEIGHTS), load_file(path / OPTIMIZER)
    tensors.restore(module, optimizer, weights, state)
    return _progress(path)


def _progress(path: Path) -> Progress:
    content = read_json(path / PROGRESS)
    unknown = content.keys() - {spec.name for spec in fields(Progress)}
    if unknown:
        raise DamagedCheckpoint(f"The checkpoint {path} is damaged: {PROGRESS} has {', '.join(sorted(unknown))}.")
    try:
        tally = Tally.from_json(content["tally"]) if "tally" in content else Tally()
    except (TypeError, KeyError) as error:
        raise DamagedCheckpoint(f"The checkpoint {path} is damaged: {PROGRESS} has no tally: {error}.") from error
    return Progress(**{**content, "tally": tally})


def _replace(folder: Path, path: Path) -> None:
    """Give `folder` the name `path`, in the place of a checkpoint of the same step: one that was damaged, or had its
    validation still to come. If that fails it stays."""
    replaced = path.with_name(f"{folder.name}.replaced")
    with suppress(FileNotFoundError):
        path.rename(replaced)
    try:
        folder.rename(path)
    except OSError:
        with suppress(FileNotFoundError):
            replaced.rename(path)
        raise
    shutil.rmtree(replaced, ignore_errors=True)


def _remove_debris(run: RunDir) -> None:
    """Remove unfinished folders of killed processes. Nobody else writes here: the caller holds the run's lock."""
    for folder in run.checkpoints.glob(".step-*"):
        shutil.rmtree(folder, ignore_errors=True)


def _losses(run: RunDir, up_to: Path) -> dict[Path, float]:
    losses = {}
    for path in run.complete_checkpoints():
        with suppress(OSError, ValueError, TypeError, AttributeError, DamagedCheckpoint):
            loss = _progress(path).validation_loss if path <= up_to else None
            if loss is not None:
                losses[path] = loss
    return losses


def _prune(run: RunDir, newest: Path, keep: int, *, keep_best: bool) -> None:
    saved = run.complete_checkpoints()
    # Those of later steps are damaged: the run has gone back past them.
    kept = [path for path in saved if path <= newest][:keep]
    if keep_best and (losses := _losses(run, newest)):
        kept.append(min(losses, key=lambda path: (losses[path], path)))
    for old in saved:
        if old not in kept:
            shutil.rmtree(old, ignore_errors=True)


def _reason(error: Exception) -> str:
    number = re.search(r"os error (\d+)", str(error))  # so safetensors says what the system said
    if isinstance(error, OSError) and error.errno:
        return os.strerror(error.errno)
    return os.strerror(int(number[1])) if number else str(error)
