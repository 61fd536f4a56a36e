"""A dataset in a local folder with the layout of the hub: data files, and perhaps a README.md that describes them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from passingloop.data.cache.digests import file_sha256
from passingloop.data.files.errors import read_errors
from passingloop.data.hub.cache import HubCache, datasets_library, download_folder, limit_batch_rows
from passingloop.data.hub.errors import HubFaults
from passingloop.data.hub.settings import HubData
from passingloop.data.hub.splits import Slice
from passingloop.errors import DataError

METADATA_FILES = ("README.md", ".huggingface.yaml", "dataset_infos.json")
"""Files from which datasets reads configurations and types of columns."""

SAVE_TO_DISK_FILES = ("state.json", "dataset_dict.json")
"""Files that `Dataset.save_to_disk` writes."""


class Folder:
    """A dataset in a folder. Its files are read in place, without copies."""

    def __init__(self, config: HubData, cache: HubCache, faults: HubFaults) -> None:
        self._config, self._cache, self._faults = config, cache, faults
        self._path = Path(config.path)
        self._builder: Any = None

    def identity(self, spec: str, slices: Iterable[Slice]) -> dict[str, str]:
        """The SHA-256 of every data file of the splits, and of `METADATA_FILES`.

        Raises:
            DataError: a file cannot be read, or is not in the local file system.
        """
        files = self._files(self.builder(), dict.fromkeys(piece.split for piece in slices))
        metadata = [path for name in METADATA_FILES if (path := self._path / name).exists()]
        digests: dict[str, str] = {}
        for path in [*metadata, *files]:
            with read_errors(path):
                digests[str(path)] = file_sha256(path, self._faults.cache_root)
        return digests | {f"{self._path}, split": f"{self._config.config or ''} {spec}"}

    def builder(self) -> Any:
        """The builder of `datasets` for the folder, which has its splits and their files.

        Raises:
            DataError, ConfigError: it does not have the configuration, or has no data.
        """
        if self._builder is None:
            self._builder = self._open_builder()
        return self._builder

    def rows(self, builder: Any, split: str) -> Any:
        """The split as a `datasets.IterableDataset`."""
        with self._faults.translate_errors():
            return builder.as_streaming_dataset(split)

    def size(self, builder: Any, splits: Iterable[str]) -> int:
        """Bytes of the splits' files."""
        return sum(path.stat().st_size for path in self._files(builder, splits))

    def _open_builder(self) -> Any:
        if found_files := [name for name in SAVE_TO_DISK_FILES if (self._path / name).exists()]:
            raise DataError(
                f"You set data.path={self._path}, which save_to_disk wrote ({found_files[0]}). Write the dataset with "
                "to_parquet, and set data=files data.train to that file."
            )
        datasets = datasets_library()
        with download_folder(self._cache), self._faults.translate_errors():
            try:
                builder = datasets.load_dataset_builder(
                    str(self._path), self._config.config, cache_dir=str(self._cache.tables)
                )
                return limit_batch_rows(builder)
            except ValueError as problem:
                raise self._faults.config_error(None) or problem from problem

    def _files(self, builder: Any, splits: Iterable[str]) -> list[Path]:
        files = [Path(file) for split in splits for file in builder.config.data_files[split]]
        for file in files:
            if not file.is_file():
                raise DataError(
                    f"You set data.path={self._path}, but its README.md names {file}, which is no file here."
                )
        return files
