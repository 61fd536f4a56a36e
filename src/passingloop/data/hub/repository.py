"""A dataset on the hub: finds its commit, and reads the commit from the cache or the hub."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from passingloop.config.data import Fingerprint
from passingloop.config.locations import hub_is_offline
from passingloop.data.hub.cache import HubCache, datasets_library, download_folder, library_cache, limit_batch_rows
from passingloop.data.hub.errors import HubFaults
from passingloop.data.hub.settings import HubData
from passingloop.data.hub.splits import Slice
from passingloop.data.time_limit import call_with_timeout
from passingloop.files import write_text

COMMIT = re.compile("[0-9a-f]{40}")

BUSY_STATUSES = (429, 500, 502, 503, 504)
"""HTTP statuses of an overloaded hub, which say nothing about the dataset; 429 is for too many requests."""

ANSWER_SECONDS = 8.0
"""Seconds to wait for the commit of a branch from the hub; after that the last known one is used."""


class Repository:
    """One dataset of the hub, at one commit, which is determined once."""

    def __init__(self, config: HubData, cache: HubCache, faults: HubFaults) -> None:
        self._config, self._cache, self._faults = config, cache, faults
        self._branch = config.revision or "main"
        self._commit: str | None = None
        self._builder: Any = None
        self.no_answer: Exception | None = None
        """Why the hub was not asked, or did not answer; it is then not asked again."""

    def commit(self) -> str:
        """The commit of `data.revision`; if the hub does not answer, the last known one.

        Raises:
            DataError: the dataset or revision does not exist or is not accessible.
            MissingError: the hub does not answer, and no commit is known.
        """
        if self._commit is None:
            with download_folder(self._cache), self._faults.translate_errors():
                self._commit = self._find_commit()
        return self._commit

    def identity(self, spec: str, _: Iterable[Slice]) -> dict[str, str]:
        """Commit, configuration and split. They identify the content, as a commit never changes."""
        config = self._config.config
        name = f"{self._config.path}, {config or 'default configuration'}, {spec}"
        return {name: f"{self.commit()} {config or ''} {spec}"}

    def builder(self) -> Any:
        """The builder of `datasets` for the commit, which has its splits and their files.

        Raises:
            DataError, ConfigError: the dataset does not have the configuration, or has no data.
            MissingError: it is not in the cache, and the hub does not answer.
        """
        if self._builder is None:
            self._builder = self._open_builder()
        return self._builder

    def _open_builder(self) -> Any:
        commit = self.commit()
        if not self._config.streaming and (prepared := self._prepared_tables(commit)):
            return prepared
        datasets = datasets_library()
        path, config, tables = self._config.path, self._config.config, str(self._cache.tables)
        with download_folder(self._cache), self._faults.translate_errors():
            if self.no_answer:
                raise self.no_answer
            try:
                builder = datasets.load_dataset_builder(path, config, revision=commit, cache_dir=tables)
            except ValueError as problem:
                raise self._faults.config_error(commit) or problem from problem
        if builder.hash != commit:  # after a failure datasets uses the commit that it prepared last
            raise self._faults.unreachable_error("it stopped answering")
        return limit_batch_rows(builder)

    def rows(self, builder: Any, split: str) -> Any:
        """The split as a `datasets.Dataset`; with `data.streaming`, as an `IterableDataset`.

        If it is not in the cache, all splits are downloaded and written as Arrow tables, by one process under a lock.

        Raises:
            DataError: a file cannot be read, or the files differ in their columns.
            ConfigError: the disk is full.
            MissingError: the hub does not answer.
        """
        with download_folder(self._cache), self._faults.translate_errors():
            if self._config.streaming:
                return builder.as_streaming_dataset(split)
            builder.download_and_prepare()  # or read what another process has written meanwhile
            if self._config.config is None:
                _write_note(self._default_file(self._cache), builder.config.name)
            return builder.as_dataset(split)

    def size(self, builder: Any, splits: Iterable[str]) -> int:
        """Bytes of the splits' files on the hub, or of their tables in the cache."""
        from huggingface_hub import HfFileSystem

        if not builder.config.data_files:
            return sum(int(builder.info.splits[split].num_bytes) for split in splits)
        with download_folder(self._cache), self._faults.translate_errors():
            files = [file for split in splits for file in builder.config.data_files[split]]
            return sum(int(HfFileSystem().info(file)["size"]) for file in files)

    def _find_commit(self) -> str:
        from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled
        from huggingface_hub.utils import httpx  # type: ignore[attr-defined]

        if COMMIT.fullmatch(self._branch):
            return self._branch
        self.no_answer = OfflineModeIsEnabled() if _is_offline() else None
        if not self.no_answer:
            try:
                commit = call_with_timeout(ANSWER_SECONDS, self._fetch_commit)
            except (TimeoutError, httpx.TransportError, HfHubHTTPError) as problem:
                if isinstance(problem, HfHubHTTPError) and problem.response.status_code not in BUSY_STATUSES:
                    raise
                self.no_answer = problem
            else:
                _write_note(self._commit_file(self._cache), commit)
                return commit
        for cache in (self._cache, library_cache()):
            if commit := _read_note(self._commit_file(cache)):
                return commit
        raise self.no_answer

    def _fetch_commit(self) -> str:
        from huggingface_hub import HfApi

        info = HfApi().dataset_info(self._config.path, revision=self._config.revision, timeout=ANSWER_SECONDS)
        assert info.sha is not None
        return info.sha

    def _commit_file(self, cache: HubCache) -> Path:
        """The file with the last known commit of a branch, which the hub's client uses as well.

        https://huggingface.co/docs/huggingface_hub/guides/manage-cache
        """
        return cache.files / f"datasets--{self._config.path.replace('/', '--')}" / "refs" / self._branch

    def _prepared_tables(self, commit: str) -> Any:
        """A builder for the commit's tables in a cache, written by this or another program; None if there are none."""
        datasets_library()
        from datasets.packaged_modules.cache.cache import Cache

        for cache in (self._cache, library_cache()):
            config = self._config.config or _read_note(self._default_file(cache)) or "default"
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
        """The file with the name of the commit's default configuration, which its tables do not have."""
        return self._tables(cache) / f"{self.commit()}.default"


def starting_commit(kept: Fingerprint) -> str | None:
    """The commit in the fingerprint that the run began with; None if it has none."""
    revisions = (value.partition(" ")[0] for pieces in kept.values() for value in pieces.values())
    return next(filter(COMMIT.fullmatch, revisions), None)


def _is_offline() -> bool:
    return hub_is_offline() or os.environ.get("HF_DATASETS_OFFLINE", "").upper() in ("1", "ON", "YES", "TRUE")


def _read_note(note: Path) -> str:
    return note.read_text(encoding="utf-8").strip() if note.exists() else ""


def _write_note(note: Path, text: str) -> None:
    if _read_note(note) == text:
        return
    with contextlib.suppress(OSError):  # the cache may be read-only
        note.parent.mkdir(parents=True, exist_ok=True)
        write_text(note, text, durable=False)
