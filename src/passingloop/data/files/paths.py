"""Paths and globs, as the configuration names them, become the files there are."""

from __future__ import annotations

import glob
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from passingloop.config.build import did_you_mean
from passingloop.data.files.errors import read_errors, shorten_list
from passingloop.data.files.formats import BY_ENDING
from passingloop.errors import DataError


def find_files(key: str, patterns: Iterable[str]) -> tuple[Path, ...]:
    """The absolute paths of all files that `patterns` name, those of a glob sorted; each file once.

    `**` stands for any depth of folders. Relative paths start at the current folder.

    Raises:
        DataError: a pattern names no file; `key` is the setting to blame, such as ``data.train``.
    """
    files: dict[Path, None] = {}
    for pattern in patterns:
        with read_errors(Path(pattern)):
            files |= dict.fromkeys(_matches(key, pattern))
    return tuple(files)


def _matches(key: str, pattern: str) -> list[Path]:
    path = Path(pattern).absolute()
    if path.is_file():
        return [path]
    if path.is_dir():
        raise DataError(
            f"You set {key}={pattern}, but that is a folder. Name its files, for instance {key}={path}/*{_ending(path)}"
        )
    if path.exists():
        raise DataError(f"You set {key}={pattern}, but that is no file. Data are read more than once.")
    if path.is_symlink():
        raise DataError(f"You set {key}={pattern}, but that is a link to {path.readlink()}, which does not exist.")
    # What exists by its very name is no pattern, brackets or not.
    base = next(parent for parent in path.parents if parent.exists())
    below = path.relative_to(base)
    # Path.glob would take hidden files, too.
    names = sorted(glob.glob(str(below), root_dir=base, recursive=True))  # noqa: PTH207
    files = [base / name for name in names if (base / name).is_file()]
    if not files:
        raise DataError(f"You set {key}={pattern}, but {_what_is_missing(base, below.parts[0])}")
    return files


def _what_is_missing(base: Path, name: str) -> str:
    """Why nothing was found: `base` is there, `name` below it is not."""
    if glob.has_magic(name):
        return f"nothing in {base} matches. It has: {shorten_list(_names(base))}."
    return f"{base / name} does not exist.{did_you_mean(name, _names(base))}"


def _names(folder: Path) -> list[str]:
    if not folder.is_dir():
        return []
    return sorted(entry.name for entry in folder.iterdir())


def _ending(folder: Path) -> str:
    """The ending that most data files in `folder` have."""
    endings = Counter(Path(name).suffix for name in _names(folder) if Path(name).suffix in BY_ENDING)
    return endings.most_common(1)[0][0] if endings else ".csv"
