"""The file that keeps what the directories of runs say: ``index.sqlite``, which can be deleted at any time.

It is read as a whole into memory, and written as a whole beside itself and renamed. So SQLite never locks a file, which
on network file systems may fail or hang, and a command never sees the half of what another one writes. Of two commands
that write at once the later one wins; what the earlier one knew is then read from the directories again.

What is wrong in the file does no harm. Each row has a checksum and the stamp of the directory that it was made from. A
file of another version, or of another program, is replaced; where none can be written, everything is read anew.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import sqlite3
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from passingloop import __version__
from passingloop.index.stamps import Stamp
from passingloop.rundir.submission import Home

APPLICATION = 0x70_6C_6F_6F
"""The application id in the file: "ploo"."""

SCHEMA = 2
"""To be raised when the tables or what facts are made of changes."""

TABLES = """
CREATE TABLE maker (version TEXT NOT NULL);
CREATE TABLE bases (id INTEGER PRIMARY KEY, settings TEXT NOT NULL, checksum INTEGER NOT NULL);
CREATE TABLE runs (
    path TEXT PRIMARY KEY, content TEXT NOT NULL, base INTEGER NOT NULL, checksum INTEGER NOT NULL
) WITHOUT ROWID;
"""

MAX_CHANGES = 24
"""The settings of a run are kept as changes of others, if they differ in no more than these: the points of a sweep
differ in few of a hundred."""

RECENT_BASES = 8
"""Bases of which the nearest is looked for."""


class Settings(NamedTuple):
    """The settings of a run: those of another run, and the changes of them.

    This, `Row` and `Stamp` are named tuples because there is one of each for every run: a frozen dataclass
    takes three times as long to make.
    """

    base: Mapping[str, Any]
    changes: Mapping[str, Any]

    def get(self, key: str) -> Any:
        """The value of a setting; None if the run has no such setting."""
        return self.changes[key] if key in self.changes else self.base.get(key)


class Row(NamedTuple):
    """What is kept of one run."""

    stamp: Stamp
    facts: dict[str, Any]
    """See `passingloop.index.entry_facts.to_json`."""
    settings: Settings


def index_places(root: Path) -> list[Path]:
    """Where the index of the runs under `root` may be: beside them, else among the user's own caches."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    digest = hashlib.sha256(os.fsencode(root.resolve())).hexdigest()[:16]
    return [Home.for_user(root).path / "index.sqlite", cache / "passingloop-index" / f"{digest}.sqlite"]


class Index:
    """The index in memory: what was read of it, and what is to be written."""

    def __init__(self, content: bytes | None = None, name: str | None = None) -> None:
        """From the bytes of a file; a new one without them.

        Args:
            name: read only the rows of this experiment.

        Raises:
            sqlite3.Error: it is no database, damaged, or has other tables.
            ValueError: another program or version has made it.
        """
        self._database = sqlite3.connect(":memory:")
        self.rows: dict[str, Row] = {}
        """The undamaged rows of the file, by the path of the run below the root."""
        self.is_new = content is None
        self._bases: dict[int, dict[str, Any]] = {}
        if content is None:
            self._database.executescript(TABLES)
            self._database.execute(f"PRAGMA application_id={APPLICATION}")
            self._database.execute(f"PRAGMA user_version={SCHEMA}")
            self._database.execute("INSERT INTO maker VALUES (?)", (__version__,))
        else:
            self._database.deserialize(content)
            self._check_maker()
            self._bases = self._read_bases()
            self.rows = self._read_rows(name)

    @classmethod
    def read(cls, places: Iterable[Path], name: str | None = None) -> Index:
        """The first index that can be read; a new one if there is none. For `name` see `__init__`."""
        for place in places:
            with suppress(OSError, sqlite3.Error, ValueError, TypeError):
                return cls(_content(place), name)
        return cls()

    def update(self, changed: Mapping[str, Row], gone: Iterable[str]) -> None:
        """Put rows in, in the place of those with the same path, and take others out.

        Raises:
            sqlite3.Error: the file was damaged.
        """
        self._database.executemany("DELETE FROM runs WHERE path = ?", ((path,) for path in gone))
        self._database.executemany("REPLACE INTO runs VALUES (?, ?, ?, ?)", self._packed(changed))
        self._database.execute("DELETE FROM bases WHERE id NOT IN (SELECT base FROM runs)")
        self._database.commit()

    def write(self, places: Iterable[Path]) -> None:
        """Write the file in the first place where that is possible. If nowhere is, nothing is said."""
        content = self._database.serialize()
        for place in places:
            temporary = place.with_name(f".{place.name}.{os.getpid()}-{secrets.token_hex(3)}")
            try:
                place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                    file.write(content)
                temporary.replace(place)
            except OSError:  # a full disk, someone else's folder
                with suppress(OSError):
                    temporary.unlink(missing_ok=True)
            else:
                return

    def _check_maker(self) -> None:
        identity = [self._database.execute(f"PRAGMA {name}").fetchone() for name in ("application_id", "user_version")]
        maker = self._database.execute("SELECT version FROM maker").fetchone()
        if [*identity, maker] != [(APPLICATION,), (SCHEMA,), (__version__,)]:
            raise ValueError("another program or version has made it")

    def _read_bases(self) -> dict[int, dict[str, Any]]:
        rows = self._database.execute("SELECT id, settings, checksum FROM bases ORDER BY id")
        return {number: json.loads(text) for number, text, checksum in rows if checksum == _checksum(str(number), text)}

    def _read_rows(self, name: str | None) -> dict[str, Row]:
        query, limits = "SELECT * FROM runs", tuple[str, ...]()
        if name is not None:
            query, limits = f"{query} WHERE path > ? AND path < ?", (f"{name}/", f"{name}0")  # 0 comes after /
        rows = [
            (path, content, base)
            for path, content, base, checksum in self._database.execute(query, limits)
            if base in self._bases and checksum == _checksum(path, content, str(base))
        ]
        contents = json.loads(f"[{','.join(content for _, content, _ in rows)}]")  # at once: half the time
        return {
            path: Row(Stamp(owner, present, digest), facts, Settings(self._bases[base], changes))
            for (path, _, base), (owner, present, digest, facts, changes) in zip(rows, contents, strict=True)
        }

    def _packed(self, rows: Mapping[str, Row]) -> Iterator[tuple[object, ...]]:
        for path, row in rows.items():
            number, changes = self._base_and_changes({**row.settings.base, **row.settings.changes})
            content = _text([*row.stamp, row.facts, changes])
            yield path, content, number, _checksum(path, content, str(number))

    def _base_and_changes(self, settings: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        """The number of a base and the changes of it, for these settings."""
        for number in list(self._bases)[-RECENT_BASES:]:
            base = self._bases[number]
            if base.keys() == settings.keys():
                changes = {key: value for key, value in settings.items() if value != base[key]}
                if len(changes) <= MAX_CHANGES:
                    return number, changes
        number, text = max(self._bases, default=0) + 1, _text(settings)
        self._bases[number] = settings
        self._database.execute("REPLACE INTO bases VALUES (?, ?, ?)", (number, text, _checksum(str(number), text)))
        return number, {}


def _content(place: Path) -> bytes:
    """The bytes of the file, if it is the user's own.

    Raises:
        OSError: it is not there, a link, or someone else's.
        ValueError: it is no database.
    """
    with os.fdopen(os.open(place, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb") as file:
        if os.fstat(file.fileno()).st_uid != os.getuid():
            raise PermissionError(f"{place} is someone else's")
        content = file.read()
    if not content.startswith(b"SQLite format 3\0"):
        raise ValueError(f"{place} is no database")
    return content


def _text(content: Any) -> str:
    return json.dumps(content, separators=(",", ":"))


def _checksum(*texts: str) -> int:
    return zlib.crc32("\0".join(texts).encode())
