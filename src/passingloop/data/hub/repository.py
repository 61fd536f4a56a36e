"""A dataset on the hub: which commit is meant, and that commit from the cache or from the hub."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from passingloop.config.data import Fingerprint
from passingloop.config.locations import hub_is_offline
from passingloop.data.hub.cache import HubCache, datasets_library, download_to, library_cache, small_batches
from passingloop.data.hub.errors import HubFaults
from passingloop.data.hub.settings import HubData
from passingloop.data.hub.splits import Slice
from passingloop.data.time_limit import call_with_timeout
from passingloop.files import write_text

COMMIT = re.compile("[0-9a-f]{40}")

BUSY = (429, 500, 502, 503, 504)
"""Answers that say nothing about the dataset. The first is for too many requests, as of a hundred jobs at once."""

ANSWER = 8.0
"""Seconds in which the hub must say which commit a branch is at, before the cache is asked instead."""


class Repository:
    """One dataset of the hub. Asks once which commit is meant, and stays with it."""

    def __init__(self, config: HubData, cache: HubCache, faults: HubFaults) -> None:
        self._config, self._cache, self._faults = config, cache, faults
        self._branch = config.revision or "main"
        self._found: str | None = None
        self._opened: Any = None
        self._silence: Exception | None = None
        """Why the hub was not asked, or did not answer: then it is not asked for more."""

    def commit(self) -> str:
        """The commit that `data.revision` stands for; where the hub does not answer, the one it was last seen at.

        Raises:
            DataError: there is no such dataset or revision, or one may not see it.
            MissingError: the hub does not answer, and never did.
        """
        if self._found is None:
            with download_to(self._cache), self._faults.translate_errors():
                self._found = self._find_commit()
        return self._found

    def identity(self, spec: str, _: Iterable[Slice]) -> dict[str, str]:
        """Commit, configuration and split say all: a commit never changes."""
        config = self._config.config
        name = f"{self._config.path}, {config or 'default configuration'}, {spec}"
        return {name: f"{self.commit()} {config or ''} {spec}"}

    def builder(self) -> Any:
        """What `datasets` knows about the commit: its splits, and where their rows are.

        Raises:
            DataError, ConfigError: the dataset has no such configuration, or no data.
            MissingError: it is not in the cache, and the hub does not answer.
        """
        if self._opened is None:
            self._opened = self._open()
        return self._opened

    def _open(self) -> Any:
        commit = self.commit()
        if not self._config.streaming and (there := self._prepared_tables(commit)):
            return there
        datasets = datasets_library()
        path, config, tables = self._config.path, self._config.config, str(self._cache.tables)
        with download_to(self._cache), self._faults.translate_errors():
            if self._silence:
                raise self._silence
            try:
                builder = datasets.load_dataset_builder(path, config, revision=commit, cache_dir=tables)
            except ValueError as problem:
                raise self._faults.config_error(commit) or problem from problem
        if builder.hash != commit:  # where anything fails, datasets takes whichever commit it prepared last
            raise self._faults.unreachable_error("it stopped answering")
        return small_batches(builder)

    def rows(self, builder: Any, split: str) -> Any:
        """The split as a `datasets.Dataset`; with `data.streaming`, as an `IterableDataset`.

        What is not there yet is downloaded, all splits of it, and written as Arrow tables: once, under a lock.

        Raises:
            DataError: a file cannot be read, or the files differ in their columns.
            ConfigError: the disk is full.
            MissingError: the hub does not answer.
        """
        with download_to(self._cache), self._faults.translate_errors():
            if self._config.streaming:
                return builder.as_streaming_dataset(split)
            builder.download_and_prepare()  # or, where another process was quicker, learn what it wrote
            if self._config.config is None:
                _write(self._default_file(self._cache), builder.config.name)
            return builder.as_dataset(split)

    def size(self, builder: Any, splits: Iterable[str]) -> int:
        """Bytes of the splits' files on the hub, or of their tables here."""
        from huggingface_hub import HfFileSystem

        if not builder.config.data_files:
            return sum(int(builder.info.splits[split].num_bytes) for split in splits)
        with download_to(self._cache), self._faults.translate_errors():
            files = [file for split in splits for file in builder.config.data_files[split]]
            return sum(int(HfFileSystem().info(file)["size"]) for file in files)

    def _find_commit(self) -> str:
        from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled
        from huggingface_hub.utils import httpx  # type: ignore[attr-defined]

        if COMMIT.fullmatch(self._branch):
            return self._branch
        self._silence = OfflineModeIsEnabled() if _offline() else None
        if not self._silence:
            try:
                commit = call_with_timeout(ANSWER, self._fetch_commit)
            except (TimeoutError, httpx.TransportError, HfHubHTTPError) as problem:
                if isinstance(problem, HfHubHTTPError) and problem.response.status_code not in BUSY:
                    raise
                self._silence = problem
            else:
                _write(self._commit_file(self._cache), commit)
                return commit
        for cache in (self._cache, library_cache()):
            if commit := _read(self._commit_file(cache)):
                return commit
        raise self._silence

    def _fetch_commit(self) -> str:
        from huggingface_hub import HfApi

        info = HfApi().dataset_info(self._config.path, revision=self._config.revision, timeout=ANSWER)
        assert info.sha is not None
        return info.sha

    def _commit_file(self, cache: HubCache) -> Path:
        """Holds the commit a branch was last seen at, where the hub's client keeps it, too.

        https://huggingface.co/docs/huggingface_hub/guides/manage-cache
        """
        return cache.files / f"datasets--{self._config.path.replace('/', '--')}" / "refs" / self._branch

    def _prepared_tables(self, commit: str) -> Any:
        """The commit's tables, if they have been written before: by this program, or by any that uses datasets."""
        datasets_library()
        from datasets.packaged_modules.cache.cache import Cache

        for cache in (self._cache, library_cache()):
            config = self._config.config or _read(self._default_file(cache)) or "default"
            for folder in self._tables(cache).glob(f"{config}/*/{commit}"):
                if (folder / "dataset_info.json").exists():
                    return Cache(
                        cache_dir=str(cache.tables),
                        repo_id=self._config.path,
                        dataset_name=self._config.path.rpartition("/")[2],
                        config_name=config,
                        version=folder.parent.name,
                        hash=commit,
                    )
        return None

    def _tables(self, cache: HubCache) -> Path:
        from datasets.naming import camelcase_to_snakecase

        owner, _, name = self._config.path.partition("/")
        return cache.tables / f"{owner}___{camelcase_to_snakecase(name)}"

    def _default_file(self, cache: HubCache) -> Path:
        """Holds the name of the commit's default configuration, which its tables do not tell."""
        return self._tables(cache) / f"{self.commit()}.default"


def starting_commit(kept: Fingerprint) -> str | None:
    """The commit in what `Repository.identity` said when the run began."""
    revisions = (value.partition(" ")[0] for pieces in kept.values() for value in pieces.values())
    return next(filter(COMMIT.fullmatch, revisions), None)


def _offline() -> bool:
    return hub_is_offline() or os.environ.get("HF_DATASETS_OFFLINE", "").upper() in ("1", "ON", "YES", "TRUE")


def _read(note: Path) -> str:
    return note.read_text(encoding="utf-8").strip() if note.exists() else ""


def _write(note: Path, text: str) -> None:
    if _read(note) == text:
        return
    with contextlib.suppress(OSError):  # one may use a cache that one may not write to
        note.parent.mkdir(parents=True, exist_ok=True)
        write_text(note, text, durable=False)
