"""A dataset on the hub: which commit is meant, and that commit from the cache or from the hub."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from passingloop.config.data import HubData
from passingloop.data.hub_cache import HubCache, datasets_library, huggingface, keeping_in, small_batches
from passingloop.data.hub_configs import config_error
from passingloop.data.hub_faults import HubFaults
from passingloop.data.hub_splits import Slice
from passingloop.data.hub_time import within

ANSWER = 8.0
"""Seconds in which the hub must say which commit a branch is at, before the cache is asked instead."""


class Repository:
    """One dataset of the hub. Asks once which commit is meant, and stays with it."""

    def __init__(self, config: HubData, cache: HubCache, faults: HubFaults) -> None:
        self._config, self._cache, self._faults = config, cache, faults
        self._found: str | None = None

    def commit(self) -> str:
        """The commit that `data.revision` stands for; where the hub does not answer, the one it was last seen at.

        Raises:
            DataError: there is no such dataset or revision, or one may not see it.
            MissingError: the hub does not answer, and never did.
        """
        if self._found is None:
            with keeping_in(self._cache), self._faults.in_words():
                self._found = self._ask()
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
        commit = self.commit()
        if not self._config.streaming and (there := self._prepared(commit)):
            return there
        if _offline():
            raise self._faults.unreachable("HF_HUB_OFFLINE or HF_DATASETS_OFFLINE is set")
        datasets = datasets_library()
        path, config, tables = self._config.path, self._config.config, str(self._cache.tables)
        with keeping_in(self._cache), self._faults.in_words():
            try:
                found = datasets.load_dataset_builder(path, config, revision=commit, cache_dir=tables)
            except ValueError as problem:
                raise config_error(self._config, commit) or problem from problem
        if found.hash != commit:  # where anything fails, datasets takes whichever commit it prepared last
            raise self._faults.unreachable("it stopped answering")
        return small_batches(found)

    def rows(self, builder: Any, split: str) -> Any:
        """The split as a `datasets.Dataset`; with `data.streaming`, as an `IterableDataset`.

        What is not there yet is downloaded, all splits of it, and written as Arrow tables: once, under a lock.

        Raises:
            DataError: a file cannot be read, or the files differ in their columns.
            ConfigError: the disk is full.
            MissingError: the hub does not answer.
        """
        with keeping_in(self._cache), self._faults.in_words():
            if self._config.streaming:
                return builder.as_streaming_dataset(split)
            builder.download_and_prepare()  # or, where another process was quicker, learn what it wrote
            if self._config.config is None:
                _write(self._default(self._cache), builder.config.name)
            return builder.as_dataset(split)

    def size(self, builder: Any, splits: Iterable[str]) -> int:
        """Bytes of the splits' files on the hub, or of their tables here."""
        from huggingface_hub import HfFileSystem

        if not builder.config.data_files:
            return sum(int(builder.info.splits[split].num_bytes) for split in splits)
        with keeping_in(self._cache), self._faults.in_words():
            files = [file for split in splits for file in builder.config.data_files[split]]
            return sum(int(HfFileSystem().info(file)["size"]) for file in files)

    def _ask(self) -> str:
        from huggingface_hub.errors import OfflineModeIsEnabled, RevisionResolutionError

        problem: Exception = OfflineModeIsEnabled()
        if not _offline():
            try:
                return within(ANSWER, lambda: self._resolve(self._cache, here=False))
            except (TimeoutError, RevisionResolutionError) as error:
                problem = error
        for cache in (self._cache, huggingface()):
            try:
                return self._resolve(cache, here=True)
            except RevisionResolutionError:
                continue
        raise problem

    def _resolve(self, cache: HubCache, *, here: bool) -> str:
        from huggingface_hub import HfApi

        path, revision = self._config.path, self._config.revision
        found = HfApi().resolve_revision(
            path, repo_type="dataset", revision=revision, cache_dir=cache.files, local_files_only=here
        )
        return found.resolved

    def _prepared(self, commit: str) -> Any:
        """The commit's tables, if they have been written before: by this program, or by any that uses datasets."""
        datasets_library()
        from datasets.packaged_modules.cache.cache import Cache

        for cache in (self._cache, huggingface()):
            config = self._config.config or _read(self._default(cache)) or "default"
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

    def _default(self, cache: HubCache) -> Path:
        """Holds the name of the commit's default configuration, which its tables do not tell."""
        return self._tables(cache) / f"{self.commit()}.default"


def _offline() -> bool:
    from huggingface_hub import is_offline_mode

    return is_offline_mode() or os.environ.get("HF_DATASETS_OFFLINE", "").upper() in ("1", "ON", "YES", "TRUE")


def _read(note: Path) -> str:
    return note.read_text(encoding="utf-8") if note.exists() else ""


def _write(note: Path, text: str) -> None:
    if _read(note) != text:
        beside = note.with_suffix(f".{os.getpid()}")
        beside.write_text(text, encoding="utf-8")
        beside.replace(note)
