"""All runs under a run root: from the index what has not changed, from its directory what has."""

from __future__ import annotations

import gc
import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from passingloop.index.entry_facts import Facts, from_json, read_facts, to_json
from passingloop.index.index_file import Index, Row, Settings, index_places
from passingloop.index.stamps import Stamp, is_open, is_unchanged, stamp_of
from passingloop.rundir.directory import RunDir, folder_names

WORTH_WRITING = 25
"""Runs that are read from their directories before the index is written anew: to read so many takes some milliseconds,
and while runs train there are always a few."""


class Entry:
    """A run, and what its files say. What is kept of them in the index is made into objects when it is asked for:
    for 20,000 runs that takes half a second, and a command shows few of them."""

    __slots__ = ("_facts", "_folder", "_kept", "_run", "owner", "settings")

    def __init__(self, folder: str, owner: int, settings: Settings, known: Facts | dict[str, Any]) -> None:
        """
        Args:
            owner: the user id of the owner of the directory.
            known: the facts, or what the index keeps of them.
        """
        self.owner, self.settings = owner, settings
        self._folder = folder
        self._run: RunDir | None = None
        self._facts = known if isinstance(known, Facts) else None
        self._kept = known if isinstance(known, dict) else to_json(known)

    @property
    def run(self) -> RunDir:
        if self._run is None:
            self._run = RunDir(Path(self._folder))
        return self._run

    @property
    def name(self) -> str:
        return self._folder.rsplit("/", 2)[1]

    @property
    def signature(self) -> str:
        return self._folder.rsplit("/", 1)[1]

    @property
    def facts(self) -> Facts:
        if self._facts is None:
            try:
                self._facts = from_json(self.run, self._kept)
            except (KeyError, TypeError, AttributeError):  # another version has written it
                self._facts = read_facts(self.run)[0]
        return self._facts

    @property
    def order(self) -> int:
        """As in `Facts`."""
        return int(self._kept.get("order", 0))

    @property
    def recorded_metrics(self) -> dict[str, Any]:
        """Those of `Progress`."""
        metrics: dict[str, Any] = self._kept.get("progress", {}).get("metrics", {})
        return metrics

    @property
    def is_final(self) -> bool:
        """Whether it is at rest whatever Slurm says."""
        rest = self._kept.get("rest")
        return rest is not None and rest["job_id"] is None


def catalogue(root: Path, name: str | None = None) -> list[Entry]:
    """The runs under `root` that the user may read, by name and time of creation.

    Args:
        name: only those of this experiment.
    """
    with _lasting_objects():
        return _catalogue(root, name)


def run_paths(root: Path, name: str | None = None) -> Iterator[str]:
    """The path below `root` of each folder that may be a run; those of one experiment, if it is named."""
    for experiment in folder_names(os.fspath(root)) if name is None else [name]:
        for signature in folder_names(f"{root}/{experiment}"):
            yield f"{experiment}/{signature}"


def _catalogue(root: Path, name: str | None) -> list[Entry]:
    places = index_places(root)
    index = Index.read(places, name)
    taken, changed = time.time(), dict[str, Row]()
    entries: dict[str, Entry] = {}
    top = os.fspath(root)
    for path in run_paths(root, name):
        row, folder = index.rows.get(path), f"{top}/{path}"
        if row and is_unchanged(folder, row.stamp):
            entries[path] = Entry(folder, row.stamp.owner, row.settings, row.facts)
        elif found := stamp_of(folder, taken):
            stamp, is_settled = found
            entries[path], row = _read_entry(folder, stamp)
            if is_settled and path.isprintable():  # SQLite takes only what is UTF-8
                changed[path] = row
    gone = index.rows.keys() - entries.keys()
    if len(changed) + len(gone) >= WORTH_WRITING or (changed and index.is_new):
        _write(index, places, changed, gone)
    return sorted(entries.values(), key=lambda entry: (entry.name, entry.order, entry.signature))


def entry_at(run: RunDir) -> Entry | None:
    """The entry of a run, from its directory; None if it is no run, or closed to us."""
    try:
        owner = run.path.stat().st_uid
    except OSError:
        return None
    if not is_open(os.fspath(run.path)):
        return None
    facts, settings = read_facts(run)
    return Entry(os.fspath(run.path), owner, Settings(settings, {}), facts)


@contextmanager
def _lasting_objects() -> Iterator[None]:
    """A context for what makes many objects that last: Python does not look for garbage in it, nor in them later.

    For 20,000 runs that takes longer than everything else.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
        gc.freeze()
    finally:
        if enabled:
            gc.enable()


def _read_entry(folder: str, stamp: Stamp) -> tuple[Entry, Row]:
    facts, settings = read_facts(RunDir(Path(folder)))
    kept = Settings(settings, {})
    return Entry(folder, stamp.owner, kept, facts), Row(stamp, to_json(facts), kept)


def _write(index: Index, places: list[Path], changed: dict[str, Row], gone: set[str]) -> None:
    try:
        index.update(changed, gone)
    except sqlite3.Error:  # the file is damaged where it was not read
        rows = {path: row for path, row in (index.rows | changed).items() if path not in gone}
        index = Index()
        index.update(rows, ())
    index.write(places)
