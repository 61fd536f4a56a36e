"""``manifest.json`` of a checkpoint: its files with sizes and checksums. Written last, so that it says: complete."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from passingloop.errors import DamagedCheckpoint
from passingloop.files import check_version, read_json, sha256, write_json
from passingloop.rundir.directory import MANIFEST

VERSION = 1
"""Of the format of checkpoints: names and content of their files. A manifest without a version has this one."""

PROGRESS = "progress.json"
"""In every checkpoint: how far the run had come."""

Measured = dict[str, Any]
"""A file's `size` in bytes and its `sha256`."""


def measure(file: Path) -> Measured:
    """What the manifest says of a file."""
    return {"size": file.stat().st_size, "sha256": sha256(file)}


def write_manifest(folder: Path, measured: Mapping[str, Measured]) -> None:
    """Sync and measure the files in `folder`, but those that are `measured` already, and write its manifest."""
    files = dict(measured)
    for name in _files(folder):
        if name not in files:
            with (folder / name).open("rb") as written:
                os.fsync(written.fileno())
            files[name] = measure(folder / name)
    write_json(folder / MANIFEST, {"version": VERSION, "files": files})


def verify(path: Path) -> None:
    """Compare every file of the checkpoint `path` with its manifest.

    Raises:
        DamagedCheckpoint: a file is missing, or its size or checksum differs.
        OtherVersion: another version of the program has written it, in another format.
    """
    try:
        content = read_json(path / MANIFEST)
        version, written = content.pop("version", 1), dict(content.pop("files"))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DamagedCheckpoint(f"The checkpoint {path} is damaged: its manifest cannot be read.") from error
    remedy = "Use the version of passingloop that wrote it, or remove it to continue from the one before."
    check_version(f"The checkpoint {path}", version, VERSION, remedy)
    if content:
        raise DamagedCheckpoint(f"The checkpoint {path} is damaged: its manifest has {', '.join(content)}.")
    for name in sorted({PROGRESS, *written, *_files(path)}):
        if not (path / name).exists() or written.get(name) != measure(path / name):
            raise DamagedCheckpoint(f"The checkpoint {path} is damaged: {name} is not what was written.")


def _files(folder: Path) -> list[str]:
    """All but the manifest."""
    files = (path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    return sorted(name for name in files if name != MANIFEST)
