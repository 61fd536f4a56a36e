"""Source → tokens on disk, once: keyed by the source's content, the tokenizer and the settings, built under a lease."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from passingloop.config.build import to_plain
from passingloop.config.data import PARTS, Fingerprint, Part
from passingloop.data.cache.index import FORMAT
from passingloop.data.cache.lease import exclusive_build
from passingloop.data.cache.usage import META_FILE, record_use
from passingloop.data.examples.tokens import Tokens
from passingloop.data.prepare.fill import Recipe, fill
from passingloop.data.source import Source
from passingloop.errors import ConfigError
from passingloop.files import check_version, publish_folder, read_json, write_json
from passingloop.tasks.encoding import Tokenizer

TRIES = 3
"""How often prepared data are opened that have gone at the last moment."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """Data ready to train on."""

    folder: Path
    parts: dict[Part, Tokens]
    label_names: list[str]
    """Name of each class; empty without classes."""
    notes: list[str]
    """What was dropped, cut, repeated or leaked, in sentences."""
    meta: Mapping[str, Any]
    """All that was counted: ``meta.json``, which `passingloop.data.prepare.fill` writes."""
    reused: bool
    """Whether the tokens were on disk already."""


def prepare(
    recipe: Recipe, source: Source, cache_root: Path, notice: Callable[[str], None]
) -> tuple[Prepared, Fingerprint]:
    """The prepared data and their fingerprint (for each part, the digests of its pieces).

    However many processes ask at once, one builds and the others wait for it. If it is killed the next takes over.

    Raises:
        ConfigError: `cache_root` cannot be written to.
        DataError: the data cannot be used; see `passingloop.data.prepare.fill`.
    """
    identity: Fingerprint = {part: source.identity(part) for part in source.parts()}
    folder = cache_root / "tokens" / _key(recipe, identity)
    for _ in range(TRIES):
        record_use(folder)  # before it is opened: so it is not pruned
        reused = _is_complete(folder)
        if not reused:
            with (
                _cache_errors(cache_root),
                exclusive_build(folder, done=lambda: _is_complete(folder), notice=notice) as beside,
            ):
                reused = _is_complete(folder)
                if not reused:
                    _build(folder, beside, recipe, source, notice)
        try:
            return _open(folder, reused), identity
        except FileNotFoundError as error:  # it has just been pruned
            missing = error
    raise ConfigError(f"{missing.filename} is missing, so these prepared data cannot be used. Remove {folder}.")


def _build(folder: Path, beside: Path, recipe: Recipe, source: Source, notice: Callable[[str], None]) -> None:
    """Build in `beside`, then rename: what stands under the name is complete."""
    beside.mkdir()
    meta = fill(beside, recipe, source, notice)
    write_json(beside / META_FILE, {"format": FORMAT, **meta}, durable=False)  # all of it is synced below
    try:
        publish_folder(beside, folder)
    except OSError:
        if not _is_complete(folder):  # by a builder that had taken this one for dead
            raise


def _open(folder: Path, reused: bool) -> Prepared:
    meta = read_json(folder / META_FILE)
    remedy = f"Use the version of passingloop that wrote it, or remove {folder}."
    check_version(f"The prepared data in {folder}", meta.get("format", FORMAT), FORMAT, remedy)
    parts: dict[Part, Tokens] = {part: Tokens(folder / part) for part in PARTS if part in meta["parts"]}
    return Prepared(folder, parts, meta["label_names"], meta["notes"], meta, reused)


def _is_complete(folder: Path) -> bool:
    return (folder / META_FILE).exists()


@contextmanager
def _cache_errors(cache_root: Path) -> Iterator[None]:
    """An error of the file system in here is one of `cache_root`: what sources meet comes as DataError."""
    try:
        (cache_root / "tokens").mkdir(parents=True, exist_ok=True)
        yield
    except OSError as error:
        raise ConfigError(
            f"You set cache_root={cache_root}, but prepared data cannot be written there: {error}. Make room, or "
            "choose another folder."
        ) from error


def _key(recipe: Recipe, identity: Fingerprint) -> str:
    """What the tokens depend on. Not the paths: moved files with the same content are the same data."""
    content = {part: list(pieces.values()) for part, pieces in identity.items()}
    settings = {key: value for key, value in to_plain(recipe.config).items() if key in recipe.config.ENCODED}
    tokens = [tokenizer_digest(recipe.tokenizer), recipe.max_length]
    described = [FORMAT, recipe.task, settings, content, sorted(identity), *tokens]
    return hashlib.sha256(json.dumps(described).encode()).hexdigest()[:32]


def tokenizer_digest(tokenizer: Tokenizer) -> str:
    """A digest of all that turns text into tokens."""
    backend = json.loads(tokenizer.backend_tokenizer.to_str())
    backend |= {"truncation": None, "padding": None}  # every call sets these anew, and leaves them behind
    parts = [json.dumps(backend), str(tokenizer.chat_template), str(tokenizer.eos_token_id)]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()
