"""Where what comes from the Hugging Face hub is kept, and how its libraries are told to be quiet and brief about it."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from passingloop.data.rows.batches import ROWS


@dataclass(frozen=True, slots=True)
class HubCache:
    """Two folders, in the forms that huggingface_hub and datasets give them."""

    files: Path
    """Files as downloaded, and for each branch the commit it was last seen at."""

    tables: Path
    """Datasets as `datasets` prepares them: Arrow files, which are read as mapped memory."""


def writable_cache(cache_root: Path) -> HubCache:
    """Below `cache_root`, unless the environment names the Hugging Face folders (HF_HOME and the like)."""
    theirs = library_cache()
    named = os.environ.get("HF_HOME")
    files = named or os.environ.get("HF_HUB_CACHE") or os.environ.get("HUGGINGFACE_HUB_CACHE")
    tables = named or os.environ.get("HF_DATASETS_CACHE")
    return HubCache(
        theirs.files if files else cache_root / "hub" / "files",
        theirs.tables if tables else cache_root / "hub" / "tables",
    )


def library_cache() -> HubCache:
    """The folders that the libraries use by themselves, where other programs may have put what is wanted."""
    from huggingface_hub import constants

    tables = os.environ.get("HF_DATASETS_CACHE") or Path(constants.HF_HOME) / "datasets"
    return HubCache(Path(constants.HF_HUB_CACHE), Path(tables).expanduser())


def datasets_library() -> Any:
    """The module `datasets`, without progress bars and warnings, and without asking servers other than the hub."""
    with _torch_disabled():
        import datasets
    if datasets.config.HF_DATASETS_DISABLE_PROGRESS_BARS is None:
        datasets.disable_progress_bars()
    datasets.utils.logging.set_verbosity_error()
    logging.getLogger("datasets").handlers[:] = [logging.NullHandler()]  # what is wrong is for us to say
    # A counter on another server, which a firewall may answer with silence.
    datasets.config.HF_UPDATE_DOWNLOAD_COUNTS = False
    # Another server's guess at column types: they would depend on whether it has come round to the commit.
    datasets.config.USE_PARQUET_EXPORT = False
    # 20 times 5 s, each after the hub client's own five retries, would be half an hour.
    datasets.config.STREAMING_READ_MAX_RETRIES = datasets.config.STREAMING_OPEN_MAX_RETRIES = 3
    return datasets


def small_batches(builder: Any) -> Any:
    """The builder, told to read Parquet in pieces. It would take whole row groups, and none of a file without rows.

    Measured with row groups of 48 MB, while tables are written: 70 MB more than at rest, instead of 345 MB.
    """
    if getattr(builder.config, "batch_size", 0) is None:
        builder.config.batch_size = ROWS
    return builder


@contextmanager
def _torch_disabled() -> Iterator[None]:
    """On importing, datasets decides by this variable whether it will import torch, which it has no use for here.

    Measured: a look takes 1.7 s of processor time instead of 3.7 s.
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
def download_to(cache: HubCache) -> Iterator[None]:
    """Files that are downloaded in here go to `cache.files`, without a bar for each."""
    from huggingface_hub import constants
    from huggingface_hub.utils import logging as words
    from huggingface_hub.utils.tqdm import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars

    before = constants.HF_HUB_CACHE, words.get_verbosity()
    ours = constants.HF_HUB_DISABLE_PROGRESS_BARS is None and not are_progress_bars_disabled()
    constants.HF_HUB_CACHE = str(cache.files)  # read at each download; datasets has no argument for it
    words.set_verbosity(logging.CRITICAL)
    if ours:
        disable_progress_bars()
    try:
        yield
    finally:
        constants.HF_HUB_CACHE = before[0]
        words.set_verbosity(before[1])
        if ours:
            enable_progress_bars()
