"""A copy of the code for jobs that will run it later, whatever becomes of the original."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import passingloop
from passingloop.rundir.submission import Home

PACKAGE = Path(passingloop.__file__).resolve().parent


@dataclass(frozen=True, slots=True)
class Snapshot:
    """This package's source as it is now."""

    folder: Path
    """Where it is kept: named after the content, so that submissions of the same code share it."""
    files: Mapping[Path, bytes]

    @classmethod
    def taken(cls, home: Home) -> Snapshot:
        files = {path.relative_to(PACKAGE.parent): path.read_bytes() for path in sorted(PACKAGE.rglob("*.py"))}
        digest = hashlib.sha256()
        for path, content in files.items():
            digest.update(f"{path}\0{len(content)}\0".encode() + content)
        return cls(home.code / digest.hexdigest()[:16], files)

    def keep(self) -> None:
        """Write it, unless it is there already."""
        if self.folder.exists():
            return
        beside = self.folder.with_name(f".{self.folder.name}.{os.getpid()}")
        beside.mkdir(mode=0o700)
        for path, content in self.files.items():
            (beside / path).parent.mkdir(parents=True, exist_ok=True)
            (beside / path).write_bytes(content)
        beside.rename(self.folder)
