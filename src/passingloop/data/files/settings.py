"""The settings of `data=files`."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

from passingloop.config.data import PARTS, FormattedData
from passingloop.config.locations import absolute
from passingloop.errors import ConfigError


@dataclass(frozen=True, kw_only=True, slots=True)
class FilesData(FormattedData):
    """Files in the local file system."""

    CHECKED: ClassVar[Literal["never", "here", "in a process"]] = "here"
    TRAIN: ClassVar[str] = "a path or a glob, such as {}=train.csv"

    source: Literal["files"]
    """Set by the choice `data=files`."""

    def located(self, folder: Path, section: str) -> Self:
        parts: dict[str, Any] = {}
        for part in PARTS:
            paths = getattr(self, part)
            if "" in paths:
                raise ConfigError(
                    f"You set {section}.{part} to an empty text. Give a path or a glob, such as train.csv."
                )
            parts[part] = tuple(str(absolute(path, folder)) for path in paths)
        return dataclasses.replace(self, **parts)

    def contradictions(self, section: str) -> Iterator[str]:
        yield from super(FilesData, self).contradictions(section)
        for part, name in self.named():
            if name.startswith("gs://"):
                yield (
                    f"You set {section}.{part}={name}, but data=files reads local files. Set data=gcs for Google Cloud "
                    "Storage."
                )

    def local_files(self) -> tuple[Path, ...]:
        from passingloop.data.files.paths import find_files  # takes 70 ms

        return tuple(path for part in PARTS for path in find_files(f"data.{part}", getattr(self, part)))
