"""Source → tokens on disk, once: keyed by the source's content, the tokenizer and the settings, built under a lock."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from passingloop.config.build import to_plain
from passingloop.config.data import PARTS, DataConfig, Part
from passingloop.config.settings import Task
from passingloop.data.encode import Tokenizer
from passingloop.data.fill import Recipe, fill
from passingloop.data.source import Source
from passingloop.data.tokens import Tokens
from passingloop.errors import ConfigError

Identity = dict[str, dict[str, str]]
"""For each part its pieces (a file's path, say) and a digest of each: the data's fingerprint."""

SHAPING = ("text", "label", "messages", "format", "limit", "validation_fraction", "test_fraction", "on_bad")
"""Settings of `data` that tokens depend on, beside what the source reads."""

FORMAT = 3
"""Version of the files and of what preparing does; a new one makes old caches unused."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """Data ready to train on."""

    folder: Path
    parts: dict[Part, Tokens]
    label_names: list[str]
    """Name of each class; empty for causal_lm."""
    notes: list[str]
    """What was dropped, cut, repeated or leaked, in sentences."""
    meta: Mapping[str, Any]
    """All that was counted: ``meta.json``, which `passingloop.data.fill` writes."""
    reused: bool
    """Whether the tokens were on disk already."""


def prepare(
    task: Task,
    config: DataConfig,
    source: Source,
    tokenizer: Tokenizer,
    max_length: int,
    cache_root: Path,
    notice: Callable[[str], None],
) -> tuple[Prepared, Identity]:
    """The prepared data and their fingerprint (for each part, the digests of its pieces).

    However many processes ask at once, one builds and the others wait for it. If the builder is killed its lock is
    gone with it, and the next takes over.

    Raises:
        ConfigError: `cache_root` cannot be written to.
        DataError: the data cannot be used; see `passingloop.data.fill`.
    """
    identity: Identity = {part: source.identity(part) for part in source.parts()}
    key = _key(task, config, identity, tokenizer, max_length)
    folder = cache_root / "tokens" / key
    reused = _complete(folder)
    if not reused:
        with _writing(cache_root), _only_one(folder.with_suffix(".lock")):
            reused = _complete(folder)
            if not reused:
                recipe = Recipe(task=task, config=config, tokenizer=tokenizer, max_length=max_length)
                _build(folder, recipe, source, notice)
    return _open(folder, reused), identity


def _build(folder: Path, recipe: Recipe, source: Source, notice: Callable[[str], None]) -> None:
    """Build beside `folder`, then rename: what stands under the name is complete."""
    beside = folder.with_suffix(".building")
    shutil.rmtree(beside, ignore_errors=True)  # left by a builder that was killed
    beside.mkdir()
    try:
        meta = fill(beside, recipe, source, notice)
    except BaseException:
        shutil.rmtree(beside, ignore_errors=True)  # data that cannot be used may be large, and are not tried again
        raise
    (beside / "meta.json").write_text(json.dumps(meta, ensure_ascii=False, indent=2), encoding="utf-8")
    _sync(beside)
    beside.rename(folder)


def _open(folder: Path, reused: bool) -> Prepared:
    meta = json.loads((folder / "meta.json").read_text(encoding="utf-8"))
    parts: dict[Part, Tokens] = {part: Tokens(folder / part) for part in PARTS if part in meta["parts"]}
    return Prepared(folder, parts, meta["label_names"], meta["notes"], meta, reused)


def _complete(folder: Path) -> bool:
    return (folder / "meta.json").exists()


def _sync(folder: Path) -> None:
    """Wait until everything in `folder` is on the disk."""
    for path in [*folder.rglob("*"), folder]:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


@contextmanager
def _writing(cache_root: Path) -> Iterator[None]:
    """An error of the file system in here is one of `cache_root`: what sources meet comes as DataError."""
    try:
        (cache_root / "tokens").mkdir(parents=True, exist_ok=True)
        yield
    except OSError as error:
        raise ConfigError(
            f"You set cache_root={cache_root}, but prepared data cannot be written there: {error}. Make room, or "
            "choose another folder."
        ) from error


@contextmanager
def _only_one(lock: Path) -> Iterator[None]:
    """Wait for, then hold, the lock file: it is free again when its holder has ended, in whatever way."""
    descriptor = os.open(lock, os.O_RDWR | os.O_CREAT, 0o666)  # less the umask
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _key(task: Task, config: DataConfig, identity: Any, tokenizer: Tokenizer, max_length: int) -> str:
    """What the tokens depend on. Not the paths: moved files with the same content are the same data."""
    content = {part: list(pieces.values()) for part, pieces in identity.items()}
    settings = {key: value for key, value in to_plain(config).items() if key in SHAPING}
    described = [FORMAT, task, settings, content, sorted(identity), tokenizer_digest(tokenizer), max_length]
    return hashlib.sha256(json.dumps(described).encode()).hexdigest()[:32]


def tokenizer_digest(tokenizer: Tokenizer) -> str:
    """A digest of all that turns text into tokens."""
    backend = json.loads(tokenizer.backend_tokenizer.to_str())
    backend |= {"truncation": None, "padding": None}  # every call sets these anew, and leaves them behind
    parts = [json.dumps(backend), str(tokenizer.chat_template), str(tokenizer.eos_token_id)]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()
