"""The settings of `data=hub`."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal, Self

from passingloop.config.data import NamedData
from passingloop.config.locations import absolute


@dataclass(frozen=True, kw_only=True, slots=True)
class HubData(NamedData):
    """A dataset of the Hugging Face hub, or a folder in that form."""

    NOT_LEARNED: ClassVar[frozenset[str]] = frozenset({"streaming"})
    TRAIN: ClassVar[str] = "a split, such as {}=train"

    source: Literal["hub"]
    """Set by the choice `data=hub`."""

    path: str
    """Dataset id such as `fancyzhx/ag_news`, or a folder that `datasets.load_dataset` reads."""

    config: str | None
    """Which of the dataset's configurations; null where it has one only."""

    revision: str | None
    """Branch, tag or commit on the hub; null is the default branch."""

    streaming: bool
    """Read the dataset as it arrives and keep its tokens only, for what does not fit on the disk."""

    @property
    def has_versions(self) -> bool:
        return not Path(self.path).is_dir()

    def located(self, folder: Path, section: str) -> Self:
        """A folder by its absolute path; anything else is an id."""
        path = absolute(self.path, folder)
        return dataclasses.replace(self, path=str(path.resolve())) if path.is_dir() else self
