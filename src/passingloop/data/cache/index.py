"""Whether a run's data are prepared, and how long preparing them takes: answered at once, without a tokenizer.

<cache_root>/index/<digest> names the folders of tokens that settings led to, with the files as they were. It is a hint:
preparing checks the content itself.
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
from passingloop.data.cache.usage import META
from passingloop.files import write_text

FORMAT = 3
"""Version of the files and of what preparing does; a new one makes old caches unused."""

BYTES_PER_SECOND = 1.0e6
"""Of one CPU that reads, checks and tokenises. Measured: 1.1 MB/s for 42 MB of docstrings in a CSV file with MiniLM's
tokenizer, on one core of a machine that others used as well."""


def preparing_seconds(size: int | None, cpus: int) -> float:
    """About how long `cpus` take for `size` bytes; infinite if it is not known how many there are."""
    return math.inf if size is None else size / (BYTES_PER_SECOND * cpus)


def size_of(config: RunConfig, measured: Callable[[DataConfig], int | None]) -> int | None:
    """About how many bytes a run reads; None if that is not known.

    Args:
        measured: tells it of sources that a process of their own has checked.

    Raises:
        DataError: a file is not there.
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


def digest(config: RunConfig) -> str:
    """Of all that its tokens depend on, as far as that can be told in a moment.

    Files are told apart by path, size and time of their last change; of other sources only the settings are known.

    Raises:
        DataError: a file is not there.
    """
    sources = named_sources(config.data)
    settings = [
        {key: value for key, value in to_plain(source).items() if key != source.ANEW} for source in sources.values()
    ]
    files = [_files(name, source) for name, source in sources.items()]
    described: list[Any] = [FORMAT, config.task, config.model.path, config.model.revision, settings, files]
    return hashlib.sha256(json.dumps(described).encode()).hexdigest()[:32]


def is_prepared(config: RunConfig, settings_digest: str) -> bool:
    """Whether the tokens that these settings led to are in the cache."""
    if any(source.reads_anew for source in named_sources(config.data).values()):
        return False
    try:
        folders = json.loads(_entry(config.cache_root, settings_digest).read_text())
    except (OSError, ValueError):
        return False
    return all((config.cache_root / "tokens" / name / META).exists() for name in folders)


def remember(config: RunConfig, settings_digest: str, folders: Sequence[Path]) -> None:
    """Write down that these settings led to these folders of tokens, if the cache can be written to."""
    if is_prepared(config, settings_digest):
        return
    path = _entry(config.cache_root, settings_digest)
    with suppress(OSError):
        path.parent.mkdir(exist_ok=True)
        write_text(path, json.dumps([folder.name for folder in folders]), durable=False)


def _entry(cache_root: Path, settings_digest: str) -> Path:
    return cache_root / "index" / settings_digest


def _files(name: str, source: DataConfig) -> list[tuple[str, int, int]]:
    """Path, bytes and time of the last change of the files that a source reads here."""
    with errors_named(name):
        states = [(path, path.stat()) for path in source.local_files()]
    return [(str(path), state.st_size, state.st_mtime_ns) for path, state in states]
