"""Atomic and durable writes of files and folders, JSON files, checksums, format versions."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import secrets
import stat
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from passingloop.errors import ConfigError, OtherVersion


def write_text(path: Path, text: str, *, durable: bool = True) -> None:
    """Write `text` to `path` atomically: to a temporary file beside it, which is synced to disk and renamed.

    Without `durable` nothing is synced, which is faster for a thousand files: the file then survives a crash of the
    process, but not of the machine.
    """
    # Random as well: on a shared file system processes on two nodes may have the same id.
    temporary = path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(3)}")
    try:
        temporary.write_text(text, encoding="utf-8")
        if durable:
            publish_file(temporary, path)
        else:
            temporary.replace(path)
    except OSError:  # such as a full disk, of which the rest must not be kept
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise


def write_output(text: str, path: Path, option: str) -> None:
    """Write what a user wants in the file that an option names; for ``-`` print it.

    Raises:
        ConfigError: the file cannot be written.
    """
    if not path.name:
        raise ConfigError(f"You set {option} {path}, which is no file. Set one such as report.html.")
    if str(path) == "-":
        sys.stdout.buffer.write(text.encode())  # as UTF-8 in every locale
        sys.stdout.flush()
        return
    try:
        if path.exists() and not path.is_file():  # a device or a pipe, which must not be replaced by a file
            path.write_text(text, encoding="utf-8")
        else:
            write_text(path, text, durable=False)
    except OSError as error:
        raise ConfigError(f"You set {option} {path}, which cannot be written: {error.strerror}.") from None


def write_json(path: Path, content: Any, *, durable: bool = True) -> None:
    """Write `content` to `path` as JSON, as `write_text` does."""
    write_text(path, json.dumps(content, indent=2, ensure_ascii=False) + "\n", durable=durable)


def read_json(path: Path) -> Any:
    """Read what `write_json` wrote."""
    return json.loads(path.read_text(encoding="utf-8"))


def read_others_text(path: Path) -> str:
    """The text of a file that others may have put there.

    Raises:
        OSError: it cannot be read, or is no plain file: to open a pipe would wait for whoever writes into it.
        ValueError: it is not UTF-8.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(descriptor, encoding="utf-8") as file:  # noqa: PTH123  # it is open already
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "not a plain file", str(path))
        return file.read()


def append_json_line(path: Path, content: Any, *, durable: bool = True) -> None:
    """Append `content` as one line. An incomplete last line, left by a killed process, is ended first."""
    append_json_lines(path, [content], durable=durable)


def append_json_lines(path: Path, contents: Sequence[Any], *, durable: bool = True) -> None:
    """Append each of `contents` as one line, as `append_json_line` does."""
    text = "".join(json.dumps(content, ensure_ascii=False) + "\n" for content in contents)
    with path.open("a+b") as file:
        if file.tell() and not _ends_in_newline(path):
            text = "\n" + text
        file.write(text.encode())
        file.flush()
        if durable:
            os.fsync(file.fileno())


def read_json_lines(path: Path) -> list[Any]:
    """The objects in the file's lines. Incomplete lines, left by killed processes, are ignored."""
    rows = []
    for line in path.read_bytes().splitlines() if path.exists() else []:
        try:
            row = json.loads(line)
        except ValueError:
            continue
        if isinstance(row, dict):
            rows.append(row)
    return rows


def sha256(path: Path) -> str:
    """The SHA-256 of the file's bytes, as hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def check_version(what: str, written: object, known: int, remedy: str) -> None:
    """Check that the file or folder `what` has the format version that this program reads.

    Args:
        remedy: a sentence for the message, on what to do.

    Raises:
        OtherVersion: it has another version.
    """
    if written != known:
        raise OtherVersion(f"{what} has format version {written}, but this passingloop reads version {known}. {remedy}")


def publish_file(temporary: Path, path: Path) -> None:
    """Sync the file `temporary` to disk, then rename it to `path`, which it replaces."""
    _sync(temporary)
    temporary.replace(path)
    sync_folder(path.parent)


def publish_folder(temporary: Path, path: Path) -> None:
    """Sync the folder `temporary` to disk, then rename it to `path`, which must not exist."""
    sync_tree(temporary)
    temporary.rename(path)
    sync_folder(path.parent)


def sync_tree(folder: Path) -> None:
    """Sync everything in `folder`, at any depth, to disk."""
    for path in [*folder.rglob("*"), folder]:
        _sync(path)


def sync_folder(folder: Path) -> None:
    """Sync the entries of the folder, such as a rename, to disk."""
    _sync(folder)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _ends_in_newline(path: Path) -> bool:
    with path.open("rb") as file:
        file.seek(-1, os.SEEK_END)
        return file.read(1) == b"\n"
