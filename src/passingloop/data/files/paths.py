"""Finds the files that configured paths and globs name."""

from __future__ import annotations

import glob
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from passingloop.config.build import did_you_mean
from passingloop.data.files.errors import names_excerpt, read_errors
from passingloop.data.files.formats import FORMAT_OF_SUFFIX
from passingloop.errors import DataError


def find_files(key: str, patterns: Iterable[str]) -> tuple[Path, ...]:
    """The absolute paths of all files that `patterns` name, each once; the files of a glob are sorted.

    `**` matches folders of any depth. Relative paths start at the current folder.

    Args:
        key: the setting for messages, such as ``data.train``.

    Raises:
        DataError: a pattern names no file.
    """
    files: dict[Path, None] = {}
    for pattern in patterns:
        with read_errors(Path(pattern)):
            files |= dict.fromkeys(_matching_files(key, pattern))
    return tuple(files)


def _matching_files(key: str, pattern: str) -> list[Path]:
    path = Path(pattern).absolute()
    if path.is_file():
        return [path]
    if path.is_dir():
        raise DataError(
            f"You set {key}={pattern}, but that is a folder. Name its files, for instance "
            f"{key}={path}/*{_common_suffix(path)}"
        )
    if path.exists():
        raise DataError(f"You set {key}={pattern}, but that is no file. Data are read more than once.")
    if path.is_symlink():
        raise DataError(f"You set {key}={pattern}, but that is a link to {path.readlink()}, which does not exist.")
    # The existing part of the path is not a pattern, also with brackets in it.
    base = next(parent for parent in path.parents if parent.exists())
    relative = path.relative_to(base)
    # Path.glob would include hidden files.
    names = sorted(glob.glob(str(relative), root_dir=base, recursive=True))  # noqa: PTH207
    files = [base / name for name in names if (base / name).is_file()]
    if not files:
        raise DataError(f"You set {key}={pattern}, but {_missing_reason(base, relative.parts[0])}")
    return files


def _missing_reason(base: Path, name: str) -> str:
    """The reason for the message: `base` exists, and nothing in it has the name or pattern `name`."""
    if glob.has_magic(name):
        return f"nothing in {base} matches. It has: {names_excerpt(_entry_names(base))}."
    return f"{base / name} does not exist.{did_you_mean(name, _entry_names(base))}"


def _entry_names(folder: Path) -> list[str]:
    if not folder.is_dir():
        return []
    return sorted(entry.name for entry in folder.iterdir())


def _common_suffix(folder: Path) -> str:
    """The most frequent suffix of the data files in `folder`."""
    endings = Counter(Path(name).suffix for name in _entry_names(folder) if Path(name).suffix in FORMAT_OF_SUFFIX)
    return endings.most_common(1)[0][0] if endings else ".csv"
