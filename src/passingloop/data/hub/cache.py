"""Cache folders for the Hugging Face hub, and settings that make its libraries quiet and limit their retries."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from passingloop.data.rows.batches import MAX_ROWS


@dataclass(frozen=True, slots=True)
class HubCache:
    """Two folders in the formats of huggingface_hub and datasets."""

    files: Path
    """Downloaded files, and for each branch the last known commit."""

    tables: Path
    """Datasets as `datasets` prepares them: Arrow files, which are memory-mapped."""


def writable_cache(cache_root: Path) -> HubCache:
    """Folders in `cache_root`, unless the environment sets those of Hugging Face (HF_HOME and the like)."""
    library = library_cache()
    hf_home = os.environ.get("HF_HOME")
    files = hf_home or os.environ.get("HF_HUB_CACHE") or os.environ.get("HUGGINGFACE_HUB_CACHE")
    tables = hf_home or os.environ.get("HF_DATASETS_CACHE")
    return HubCache(
        library.files if files else cache_root / "hub" / "files",
        library.tables if tables else cache_root / "hub" / "tables",
    )


def library_cache() -> HubCache:
    """The folders that the libraries use by default. Other programs may have downloaded the dataset there."""
    from huggingface_hub import constants

    tables = os.environ.get("HF_DATASETS_CACHE") or Path(constants.HF_HOME) / "datasets"
    return HubCache(Path(constants.HF_HUB_CACHE), Path(tables).expanduser())


def datasets_library() -> Any:
    """The module `datasets`, without progress bars, warnings, and requests to servers other than the hub."""
    with _torch_disabled():
        import datasets
    if datasets.config.HF_DATASETS_DISABLE_PROGRESS_BARS is None:
        datasets.disable_progress_bars()
    datasets.utils.logging.set_verbosity_error()
    logging.getLogger("datasets").handlers[:] = [logging.NullHandler()]  # errors are reported by passingloop
    # A download counter on another server, which a firewall may block without an answer.
    datasets.config.HF_UPDATE_DOWNLOAD_COUNTS = False
    # Another server converts datasets and infers column types, which would depend on whether it has done the commit.
    datasets.config.USE_PARQUET_EXPORT = False
    # The default, 20 tries 5 s apart, each after five of the hub client, would take half an hour.
    datasets.config.STREAMING_READ_MAX_RETRIES = datasets.config.STREAMING_OPEN_MAX_RETRIES = 3
    return datasets


def limit_batch_rows(builder: Any) -> Any:
    """Make `builder` read Parquet in batches. By default it reads whole row groups, and gives no table for a
    file without rows.

    Measured with row groups of 48 MB, while tables are written: 70 MB of memory instead of 345 MB.
    """
    if getattr(builder.config, "batch_size", 0) is None:
        builder.config.batch_size = MAX_ROWS
    return builder


@contextmanager
def _torch_disabled() -> Iterator[None]:
    """A context in which datasets can be imported without torch, which it does not need here.

    Measured: a check takes 1.7 s of CPU time instead of 3.7 s.
    """
    before = os.environ.get("USE_TORCH")
    if "torch" not in sys.modules:
        os.environ["USE_TORCH"] = "0"
    try:
        yield
    finally:
        os.environ.pop("USE_TORCH", None)
        if before is not None:
            os.environ["USE_TORCH"] = before


@contextmanager
def download_folder(cache: HubCache) -> Iterator[None]:
    """A context in which files are downloaded to `cache.files`, without progress bars."""
    from huggingface_hub import constants
    from huggingface_hub.utils import logging as hub_logging
    from huggingface_hub.utils.tqdm import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars

    before = constants.HF_HUB_CACHE, hub_logging.get_verbosity()
    hides_bars = constants.HF_HUB_DISABLE_PROGRESS_BARS is None and not are_progress_bars_disabled()
    constants.HF_HUB_CACHE = str(cache.files)  # read at each download; datasets has no argument for it
    hub_logging.set_verbosity(logging.CRITICAL)
    if hides_bars:
        disable_progress_bars()
    try:
        yield
    finally:
        constants.HF_HUB_CACHE = before[0]
        hub_logging.set_verbosity(before[1])
        if hides_bars:
            enable_progress_bars()
