"""The settings of `data=gcs`."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal, Self

from passingloop.config.data import FormattedData
from passingloop.config.locations import absolute_key_file


@dataclass(frozen=True, kw_only=True, slots=True)
class GcsData(FormattedData):
    """Objects in Google Cloud Storage, in the formats of files."""

    NOT_LEARNED: ClassVar[frozenset[str]] = frozenset({"credentials"})
    TRAIN: ClassVar[str] = "a URL or a glob, such as {}=gs://bucket/train-*.parquet"

    source: Literal["gcs"]
    """Set by the choice `data=gcs`."""

    credentials: str
    """`default` finds them as Google's tools do, `anonymous` reads public buckets, a path is a service account's
    key file."""

    def located(self, folder: Path, section: str) -> Self:
        return dataclasses.replace(self, credentials=absolute_key_file(self.credentials, folder))

    def contradictions(self, section: str) -> Iterator[str]:
        yield from super(GcsData, self).contradictions(section)
        for part, name in self.named():
            set_to = f"You set {section}.{part}={name}, but"
            if not name.startswith("gs://"):
                yield f"{set_to} data=gcs reads objects such as gs://bucket/train.csv. Set data=files for local files."
            elif not re.fullmatch(r"gs://[^/\s*?\[\]]+/.*[^/]", name, re.DOTALL):
                yield (
                    f"{set_to} that names no object. Name the objects, for instance "
                    f"{section}.{part}=gs://bucket/data/*.csv."
                )
