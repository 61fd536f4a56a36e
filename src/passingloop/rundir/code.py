"""Which code a run is trained with, and a copy of it for jobs that run later."""

from __future__ import annotations

import hashlib
import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import passingloop

PACKAGE = Path(passingloop.__file__).resolve().parent

Code = dict[str, str | None]


def code_identity() -> Code:
    """Version, and for a git checkout the commit and a digest of what differs from it (null when nothing does)."""
    root = PACKAGE.parents[1]
    identity: Code = {"version": passingloop.__version__, "commit": None, "changes": None}
    if not (root / ".git").exists():
        return identity
    commit = _git(root, "rev-parse", "HEAD")
    changes = _git(root, "diff", "HEAD", "--", "src", "config")
    if commit is not None:
        identity["commit"] = commit.strip()
    if changes:
        identity["changes"] = hashlib.sha256(changes.encode()).hexdigest()
    return identity


def _git(root: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "-C", str(root), *arguments], capture_output=True, text=True, timeout=10, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None  # no git here: the version has to do
    return done.stdout if done.returncode == 0 else None


def code_environment(environ: Mapping[str, str], folder: Path) -> dict[str, str]:
    """`environ` for a Python process that is to import the package from `folder`."""
    return {**environ, "PYTHONPATH": os.pathsep.join(filter(None, [str(folder), environ.get("PYTHONPATH")]))}


@dataclass(frozen=True, slots=True)
class FrozenCode:
    """This package's source as it is now, to be kept in a folder for jobs."""

    folder: Path
    """Named after the content, so that submissions of the same code share it."""
    files: Mapping[Path, bytes]

    @classmethod
    def of_package(cls, parent: Path) -> FrozenCode:
        """The source as it is now, for a folder in `parent`."""
        files = {path.relative_to(PACKAGE.parent): path.read_bytes() for path in sorted(PACKAGE.rglob("*.py"))}
        digest = hashlib.sha256()
        for path, content in files.items():
            digest.update(f"{path}\0{len(content)}\0".encode() + content)
        return cls(parent / digest.hexdigest()[:16], files)

    def write(self) -> None:
        """Write the folder, unless it is there already."""
        if self.folder.exists():
            return
        beside = self.folder.with_name(f".{self.folder.name}.{os.getpid()}")
        beside.mkdir(mode=0o700)
        for path, content in self.files.items():
            (beside / path).parent.mkdir(parents=True, exist_ok=True)
            (beside / path).write_bytes(content)
        beside.rename(self.folder)
