"""``marks.json``: what people have noted about a run, its tags and a note. It is not part of the signature.

    {"schema": 1, "tags": ["baseline"], "note": "the one for the paper"}

Whoever changes the file holds a lock on it, and writes a new one over it, so that of several changes at once none is
lost. It exists only if something was noted.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass

from passingloop.errors import ConfigError, RunError
from passingloop.files import check_version, write_json
from passingloop.rundir.directory import RunDir

SCHEMA = 1

TAG = re.compile(r"[^\W_][\w.:/+@-]{0,63}")
"""What a tag may be: no spaces, and nothing that a condition of ``passingloop list`` would have to quote."""


@dataclass(frozen=True, slots=True)
class Marks:
    """The tags of a run, in the order in which they were given, and its note."""

    tags: tuple[str, ...] = ()
    note: str | None = None

    def with_tags(self, words: tuple[str, ...]) -> Marks:
        return Marks(tuple(dict.fromkeys(self.tags + words)), self.note)

    def without_tags(self, words: tuple[str, ...]) -> Marks:
        return Marks(tuple(tag for tag in self.tags if tag not in words), self.note)

    def with_note(self, text: str | None) -> Marks:
        return Marks(self.tags, text)


def read(run: RunDir) -> Marks:
    """The run's marks; none if nothing was noted.

    Raises:
        RunError: the file cannot be understood, or has another format version.
    """
    try:
        content = run.marks.read_bytes()
    except FileNotFoundError:
        return Marks()
    return _parse(run, content)


def change(run: RunDir, edit: Callable[[Marks], Marks]) -> Marks:
    """Replace the run's marks by what `edit` makes of them, and return that.

    Raises:
        ConfigError: the run is someone else's.
        RunError: the file cannot be understood, or its file system has no locks.
    """
    mask = os.umask(0o777 & ~stat.S_IMODE(run.path.stat().st_mode))
    try:
        with _locked(run) as content:
            marks = _parse(run, content)
            changed = edit(marks)
            if changed != marks:
                write_json(run.marks, {"schema": SCHEMA, **asdict(changed)})
            return changed
    except PermissionError:
        raise ConfigError(f"{run.path} is someone else's run, which only they can change.") from None
    finally:
        os.umask(mask)


def check_tags(words: list[str]) -> tuple[str, ...]:
    """The words, if they can be tags.

    Raises:
        ConfigError: one cannot.
    """
    for word in words:
        if not TAG.fullmatch(word):
            raise ConfigError(
                f"You gave the tag {word!r}, but a tag is one word of at most 64 letters, digits and . : / + @ _ -, "
                "and begins with a letter or digit. `passingloop note` takes whole sentences."
            )
    return tuple(words)


@contextmanager
def _locked(run: RunDir) -> Iterator[bytes]:
    """A context in which nobody else changes the file; its content, empty if it is new."""
    while True:
        with run.marks.open("a+b") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX)
            except OSError as error:
                raise RunError(
                    f"{run.marks} cannot be locked ({error.strerror}), so of two changes at once one might be lost. "
                    "Lustre has locks when it is mounted with -o flock."
                ) from error
            if _is_current(run, file.fileno()):  # else someone has replaced it, while this waited for the lock
                file.seek(0)
                yield file.read()
                return


def _is_current(run: RunDir, descriptor: int) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), run.marks.stat())
    except FileNotFoundError:
        return False


def _parse(run: RunDir, content: bytes) -> Marks:
    """An empty file is one that somebody was about to write first."""
    if not content.strip():
        return Marks()
    try:
        marks = json.loads(content)
        check_version(str(run.marks), marks.get("schema", SCHEMA), SCHEMA, "Use the version that wrote it.")
        tags, note = marks.get("tags", []), marks.get("note")
        if isinstance(tags, list) and all(isinstance(tag, str) for tag in tags) and isinstance(note, str | None):
            return Marks(tuple(tags), note)
    except (ValueError, AttributeError):
        pass
    raise RunError(
        f"{run.marks} is not as `passingloop tag` and `note` write it: "
        '{"schema": 1, "tags": ["word"], "note": "text"}. Mend it, or remove it.'
    )
