"""Prepares a source: its tokens are written once, into a cache folder that is named after all they depend on."""

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
from passingloop.data.cache.index import FORMAT, chat_format
from passingloop.data.cache.last_use import META_FILE, record_use
from passingloop.data.cache.lease import exclusive_build
from passingloop.data.examples.tokens import Tokens
from passingloop.data.prepare.fill import Recipe, write_parts
from passingloop.data.prepare.similar_labels import combined_setting
from passingloop.data.source import Source
from passingloop.errors import ConfigError
from passingloop.files import check_version, publish_folder, read_json, write_json
from passingloop.tasks.encoding import Tokenizer, largest_id

MAX_TRIES = 3
"""How many times preparing is tried if the folder is pruned before it can be opened."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """The prepared data of one source."""

    folder: Path
    parts: dict[Part, Tokens]
    label_names: list[str]
    """Name of each class; empty without classes."""
    notes: list[str]
    """Sentences about dropped, cut, repeated and leaked examples."""
    meta: Mapping[str, Any]
    """The content of ``meta.json``, from `passingloop.data.prepare.fill.write_parts`."""
    reused: bool
    """Whether the tokens were in the cache already."""


def prepare_source(
    recipe: Recipe, source: Source, cache_root: Path, notice: Callable[[str], None]
) -> tuple[Prepared, Fingerprint]:
    """The prepared data of a source, and their fingerprint: the digests of the pieces of each part.

    If several processes need the same data, one of them prepares and the others wait; if it is killed, another one
    takes over.

    Raises:
        ConfigError: `cache_root` cannot be written to.
        DataError: the data cannot be used; see `passingloop.data.prepare.fill`.
    """
    identity: Fingerprint = {part: source.identity(part) for part in source.parts()}
    folder = cache_root / "tokens" / _cache_key(recipe, identity)
    for _ in range(MAX_TRIES):
        record_use(folder)  # before it is opened, so that it is not pruned
        reused = _is_complete(folder)
        if not reused:
            with (
                _cache_errors(cache_root),
                exclusive_build(folder, done=lambda: _is_complete(folder), notice=notice) as temporary,
            ):
                reused = _is_complete(folder)
                if not reused:
                    _build_folder(folder, temporary, recipe, source, notice)
        try:
            return _open_prepared(folder, reused), identity
        except FileNotFoundError as error:  # it was pruned meanwhile
            missing = error
    raise ConfigError(f"{missing.filename} is missing, so these prepared data cannot be used. Remove {folder}.")


def _build_folder(folder: Path, temporary: Path, recipe: Recipe, source: Source, notice: Callable[[str], None]) -> None:
    """Write the folder at `temporary`, then rename it to `folder`, which is thus always complete."""
    temporary.mkdir()
    meta = write_parts(temporary, recipe, source, notice)
    write_json(temporary / META_FILE, {"format": FORMAT, **meta}, durable=False)  # synced below with all the rest
    try:
        publish_folder(temporary, folder)
    except OSError:
        if not _is_complete(folder):  # else: completed by a builder that had taken over from this one
            raise


def _open_prepared(folder: Path, reused: bool) -> Prepared:
    meta = read_json(folder / META_FILE)
    remedy = f"Use the version of passingloop that wrote it, or remove {folder}."
    # Without the field they were written before it existed; the key has named the format since then.
    check_version(f"The prepared data in {folder}", meta.get("format", FORMAT), FORMAT, remedy)
    parts: dict[Part, Tokens] = {part: Tokens(folder / part) for part in PARTS if part in meta["parts"]}
    return Prepared(folder, parts, meta["label_names"], meta["notes"], meta, reused)


def _is_complete(folder: Path) -> bool:
    return (folder / META_FILE).exists()


@contextmanager
def _cache_errors(cache_root: Path) -> Iterator[None]:
    """A context in which an OSError is reported as one of `cache_root`; sources raise DataError for their files."""
    try:
        (cache_root / "tokens").mkdir(parents=True, exist_ok=True)
        yield
    except OSError as error:
        raise ConfigError(
            f"You set cache_root={cache_root}, but prepared data cannot be written there: {error}. Make room, or "
            "choose another folder."
        ) from error


def _cache_key(recipe: Recipe, identity: Fingerprint) -> str:
    """A digest of all that the tokens depend on: content, tokenizer, settings. Paths of files are not part of it."""
    content = {part: list(pieces.values()) for part, pieces in identity.items()}
    settings = {key: value for key, value in to_plain(recipe.config).items() if key in recipe.config.ENCODED}
    settings |= chat_format(recipe.config)
    tokens = [tokenizer_digest(recipe.tokenizer), recipe.max_length]
    key = [FORMAT, recipe.task, settings, content, sorted(identity), *tokens]
    if len(recipe.tokenizer) <= 2**16 <= largest_id(recipe.tokenizer):
        key.append("uint32")  # earlier versions stored such ids in 16 bits, so their folders are not used
    if combined_setting([recipe.config]) == "fold":
        key.append("fold")
    if recipe.date and recipe.config.chat_column is not None:
        key.append(str(recipe.date))
    return hashlib.sha256(json.dumps(key).encode()).hexdigest()[:32]


def tokenizer_digest(tokenizer: Tokenizer) -> str:
    """A digest of all of the tokenizer that determines the tokens of a text or chat."""
    backend = json.loads(tokenizer.backend_tokenizer.to_str())
    backend |= {"truncation": None, "padding": None}  # set by every call, and kept after it
    parts = [json.dumps(backend), str(tokenizer.chat_template), str(tokenizer.eos_token_id)]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()
