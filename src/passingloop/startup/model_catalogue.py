"""The catalogue of models in transformers, kept in `cache_root`: which of its files has which classes.

transformers makes it whenever it is imported, from the text of its 3,000 files, and twice, since it does not find the
first again: 0.5 s of CPU. Kept, it takes 0.03 s. It is used while every file has the size and the modification time
that it had, and made anew otherwise.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from pathlib import Path
from types import ModuleType
from typing import Any

from passingloop import files

MODULE, FUNCTION = "transformers.utils.import_utils", "create_import_structure_from_path"
"""What makes the catalogue of a folder, and all below it."""

Catalogue = dict[Any, Any]
"""Folders by name, and in each, by the packages that they need (a frozenset), the files and their classes (sets)."""


@contextmanager
def kept_catalogue(cache_root: Path) -> Iterator[None]:
    """Within it transformers takes its catalogue from `cache_root`, where it is put if it is not there yet."""
    finder = _Finder(cache_root)
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)


class _Finder(MetaPathFinder):
    def __init__(self, cache_root: Path) -> None:
        self._cache_root = cache_root

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        spec = PathFinder.find_spec(fullname, path, target) if fullname == MODULE else None
        if spec and isinstance(spec.loader, SourceFileLoader):
            spec.loader = _Loader(self._cache_root, spec.loader.name, spec.loader.path)
        return spec


class _Loader(SourceFileLoader):
    """Loads transformers' own code, and then replaces the one function."""

    def __init__(self, cache_root: Path, name: str, path: str) -> None:
        super().__init__(name, path)
        self._cache_root = cache_root

    def exec_module(self, module: ModuleType) -> None:
        super().exec_module(module)
        models = Path(self.path).parents[1] / "models"
        if hasattr(module, FUNCTION) and models.is_dir():
            setattr(module, FUNCTION, _kept(getattr(module, FUNCTION), models, self._cache_root))


def _kept(make: Callable[[Any], Catalogue], models: Path, cache_root: Path) -> Callable[[Any], Catalogue]:
    """`make`, which looks into `cache_root` when it is asked for the catalogue of the whole folder `models`."""
    found: list[Catalogue] = []

    def catalogue(path: Any) -> Catalogue:
        if Path(path) not in (models, models / "__init__.py"):
            return make(path)
        if not found:
            found.append(read_or_make(lambda: make(str(models)), models, cache_root))
        return found[0]

    return catalogue


def read_or_make(make: Callable[[], Catalogue], models: Path, cache_root: Path) -> Catalogue:
    """The catalogue of `models` as this user has kept it, if the files are still the same; else `make` makes it.

    Of each environment the user has one file: what others have put into a shared cache is not read.
    """
    environment = hashlib.sha256(os.fsencode(models)).hexdigest()[:8]
    kept = f"models-{os.geteuid()}-{environment}"
    path = cache_root / "startup" / f"{kept}-{_state(models)}.json"
    with suppress(OSError, ValueError, TypeError, LookupError, AttributeError, RecursionError):  # damaged in any way
        if path.lstat().st_uid == os.geteuid():
            return _decoded(json.loads(path.read_bytes()))
    made = make()
    with suppress(OSError):  # a cache that cannot be written to
        path.parent.mkdir(exist_ok=True)
        for older in path.parent.glob(f"{kept}-*.json"):
            older.unlink()
        files.write_json(path, _encoded(made))
    return made


def _state(folder: Path) -> str:
    """A digest of the names, sizes and times of the files in `folder` and in the folders in it."""
    digest = hashlib.sha256()
    for inner in sorted(os.scandir(folder), key=lambda entry: entry.name):
        entries = sorted(os.scandir(inner), key=lambda entry: entry.name) if inner.is_dir() else [inner]
        for entry in entries:
            if entry.name.endswith(".py"):
                stat = entry.stat()
                digest.update(f"{entry.path} {stat.st_size} {stat.st_mtime_ns}\n".encode(errors="surrogateescape"))
    return digest.hexdigest()[:32]


def _encoded(catalogue: Mapping[Any, Any]) -> dict[str, Any]:
    """As JSON has it: its sets become lists, and those that are keys stand beside the folders."""
    return {
        "folders": {name: _encoded(below) for name, below in catalogue.items() if isinstance(name, str)},
        "files": [
            [sorted(needs), {name: sorted(classes) for name, classes in found.items()}]
            for needs, found in catalogue.items()
            if not isinstance(needs, str)
        ],
    }


def _decoded(content: Mapping[str, Any]) -> Catalogue:
    classes = {
        frozenset(needs): {name: set(classes) for name, classes in found.items()} for needs, found in content["files"]
    }
    return {**classes, **{name: _decoded(below) for name, below in content["folders"].items()}}
