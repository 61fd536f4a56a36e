"""All runs under a run root: from the index what has not changed, from its directory what has."""

from __future__ import annotations

import gc
import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from passingloop.index.entry_facts import Facts, from_json, read_facts, to_json
from passingloop.index.index_file import Index, Row, Settings, index_places
from passingloop.index.stamps import Stamp, folder_names, is_unchanged, stamp_of
from passingloop.rundir.directory import RunDir

WORTH_WRITING = 25
"""Runs that are read from their directories before the index is written anew: to read so many takes some milliseconds,
and while runs train there are always a few."""


class Entry(NamedTuple):
    """A run, and what its files say."""

    run: RunDir
    owner: int
    """The user id of the owner of its directory."""
    facts: Facts
    settings: Settings
    """By their full names, such as ``optim.lr``."""

    @property
    def name(self) -> str:
        return self.run.path.parent.name

    @property
    def signature(self) -> str:
        return self.run.path.name


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
        if entry := _kept_entry(folder, row) if row else None:
            entries[path] = entry
        elif found := stamp_of(folder, taken):
            stamp, is_settled = found
            entries[path], row = _read_entry(folder, stamp)
            if is_settled and path.isprintable():  # SQLite takes only what is UTF-8
                changed[path] = row
    gone = index.rows.keys() - entries.keys()
    if len(changed) + len(gone) >= WORTH_WRITING or (changed and index.is_new):
        _write(index, places, changed, gone)
    return sorted(entries.values(), key=lambda entry: (entry.name, entry.facts.order, entry.signature))


def entry_at(run: RunDir) -> Entry | None:
    """The entry of a run, from its directory; None if it is no run, or closed to us."""
    try:
        owner = run.path.stat().st_uid
        run.record.stat()
    except OSError:
        return None
    facts, settings = read_facts(run)
    return Entry(run, owner, facts, Settings(settings, {}))


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


def _kept_entry(folder: str, row: Row) -> Entry | None:
    """The entry by its row in the index; None if that is old, or not understood."""
    if not is_unchanged(folder, row.stamp):
        return None
    run = RunDir(Path(folder))
    with suppress(KeyError, TypeError, AttributeError):
        return Entry(run, row.stamp.owner, from_json(run, row.facts), row.settings)
    return None


def _read_entry(folder: str, stamp: Stamp) -> tuple[Entry, Row]:
    run = RunDir(Path(folder))
    facts, settings = read_facts(run)
    kept = Settings(settings, {})
    return Entry(run, stamp.owner, facts, kept), Row(stamp, to_json(facts), kept)


def _write(index: Index, places: list[Path], changed: dict[str, Row], gone: set[str]) -> None:
    try:
        index.update(changed, gone)
    except sqlite3.Error:  # the file is damaged where it was not read
        rows = {path: row for path, row in (index.rows | changed).items() if path not in gone}
        index = Index()
        index.update(rows, ())
    index.write(places)
