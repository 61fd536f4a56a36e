"""Whether a run's data are prepared, and how long preparing them takes. Both without reading data or a tokenizer.

<cache_root>/index/<digest> lists the folders of tokens that were prepared for some settings and files. It is a hint
only: `passingloop.data.prepare` compares the content of the data.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from passingloop.config.build import to_plain
from passingloop.config.data import DataConfig, errors_named, named_sources
from passingloop.config.settings import RunConfig
from passingloop.data.cache.last_use import META_FILE
from passingloop.files import write_text

FORMAT = 3
"""Version of the token files and of how they are prepared. Caches with another version are not used."""

CHAT_FORMAT = 3
"""Version of how chats become tokens; 1 was not written into keys."""

BYTES_PER_SECOND = 1.0e6
"""What one CPU reads, checks and tokenizes. Measured: 1.1 MB/s for 42 MB of docstrings in a CSV file with MiniLM's
tokenizer, on one core of a machine that others used as well."""


def preparation_seconds(size: int | None, cpus: int) -> float:
    """The estimated seconds to prepare `size` bytes on `cpus` CPUs; infinite if the size is unknown."""
    return math.inf if size is None else size / (BYTES_PER_SECOND * cpus)


def chat_format(source: DataConfig) -> dict[str, int]:
    """What the key of a source's tokens has beside its settings: if it has chats, the version of their tokens."""
    return {} if source.chat_column is None else {"chat_format": CHAT_FORMAT}


def data_size(config: RunConfig, measured: Callable[[DataConfig], int | None]) -> int | None:
    """About how many bytes of data a run has; None if unknown.

    Args:
        measured: gives the size of a source that was checked in a process of its own.

    Raises:
        DataError: a file does not exist.
    """
    from passingloop.data.source import open_source  # takes 70 ms

    sizes = []
    for name, source in named_sources(config.data).items():
        if source.CHECKED == "in a process":
            sizes.append(measured(source))
        else:
            with errors_named(name):
                sizes.append(open_source(source, config.task, config.cache_root).size())
    return None if None in sizes else sum(size for size in sizes if size is not None)


def config_digest(config: RunConfig) -> str:
    """A digest of the settings and files that a run's tokens depend on.

    Of a file the path, size and modification time are used; of a source without local files only the settings.

    Raises:
        DataError: a file does not exist.
    """
    sources = named_sources(config.data)
    settings = [
        {key: value for key, value in to_plain(source).items() if key != source.ANEW} | chat_format(source)
        for source in sources.values()
    ]
    files = [_file_states(name, source) for name, source in sources.items()]
    content: list[Any] = [FORMAT, config.task, config.model.path, config.model.revision, settings, files]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:32]


def is_prepared(config: RunConfig, settings_digest: str) -> bool:
    """Whether the tokens for these settings are in the cache, according to the index."""
    if any(source.reads_anew for source in named_sources(config.data).values()):
        return False
    try:
        folders = json.loads(_entry_path(config.cache_root, settings_digest).read_text())
    except (OSError, ValueError):
        return False
    return all((config.cache_root / "tokens" / name / META_FILE).exists() for name in folders)


def record_folders(config: RunConfig, settings_digest: str, folders: Sequence[Path]) -> None:
    """Record in the index that these folders have the tokens for these settings, if the cache is writable."""
    if is_prepared(config, settings_digest):
        return
    path = _entry_path(config.cache_root, settings_digest)
    with suppress(OSError):
        path.parent.mkdir(exist_ok=True)
        write_text(path, json.dumps([folder.name for folder in folders]), durable=False)


def _entry_path(cache_root: Path, settings_digest: str) -> Path:
    return cache_root / "index" / settings_digest


def _file_states(name: str, source: DataConfig) -> list[tuple[str, int, int]]:
    """Path, bytes and modification time of the local files of a source."""
    with errors_named(name):
        states = [(path, path.stat()) for path in source.local_files()]
    return [(str(path), state.st_size, state.st_mtime_ns) for path, state in states]
