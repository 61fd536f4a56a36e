"""Files that are there whole or not at all, whatever interrupts the writer."""

from __future__ import annotations

import hashlib
import json
import os
import secrets
from pathlib import Path
from typing import Any

from passingloop.errors import OtherVersion


def write_text(path: Path, text: str, *, durable: bool = True) -> None:
    """Put `text` at `path`: written beside it, synced to disk, renamed over it.

    Without `durable` the disk is not waited for, which is for writing a thousand files at once: they survive the death
    of the process, not that of the machine.
    """
    # Random as well: on a shared file system two nodes may have processes with the same number.
    beside = path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(3)}")
    with beside.open("w", encoding="utf-8") as file:
        file.write(text)
        if durable:
            os.fsync(file.fileno())
    beside.replace(path)
    if durable:
        sync_folder(path.parent)


def write_json(path: Path, content: Any, *, durable: bool = True) -> None:
    """Put `content` at `path` as JSON, as `write_text` does."""
    write_text(path, json.dumps(content, indent=2, ensure_ascii=False) + "\n", durable=durable)


def read_json(path: Path) -> Any:
    """What `write_json` wrote."""
    return json.loads(path.read_text(encoding="utf-8"))


def append_json_line(path: Path, content: Any, *, durable: bool = True) -> None:
    """Append `content` as one line; a line that was torn by a kill before stays a line of its own."""
    line = json.dumps(content, ensure_ascii=False) + "\n"
    with path.open("a+b") as file:
        if file.tell() and not _ends_in_newline(path):
            line = "\n" + line
        file.write(line.encode())
        file.flush()
        if durable:
            os.fsync(file.fileno())


def read_json_lines(path: Path) -> list[Any]:
    """The lines that are whole. A torn one, left by a kill, is passed over."""
    rows = []
    for line in path.read_bytes().splitlines() if path.exists() else []:
        try:
            rows.append(json.loads(line))
        except ValueError:
            continue
    return rows


def sha256(path: Path) -> str:
    """Checksum of a file's bytes, as hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def check_version(what: str, written: object, known: int, remedy: str) -> None:
    """The file or folder `what` has the version of its format that this program reads.

    Raises:
        OtherVersion: it has another; says `remedy`, a sentence.
    """
    if written != known:
        raise OtherVersion(f"{what} has format version {written}, but this passingloop reads version {known}. {remedy}")


def put_folder(beside: Path, path: Path) -> None:
    """Give the folder `beside`, once all of it is on the disk, the name `path`, which is free."""
    sync_tree(beside)
    beside.rename(path)
    sync_folder(path.parent)


def sync_tree(folder: Path) -> None:
    """Wait until everything in `folder`, at any depth, is on the disk."""
    for path in [*folder.rglob("*"), folder]:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def sync_folder(folder: Path) -> None:
    """Wait until the folder's entries (a rename, say) are on the disk."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _ends_in_newline(path: Path) -> bool:
    with path.open("rb") as file:
        file.seek(-1, os.SEEK_END)
        return file.read(1) == b"\n"
