"""The version of the code that trains a run, and a frozen copy of the code for jobs that start later."""

from __future__ import annotations

import hashlib
import io
import os
import subprocess
import tarfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import passingloop

PACKAGE = Path(passingloop.__file__).resolve().parent

Code = dict[str, str | None]
"""`version`, `commit` and `changes`, as `code_identity` describes them."""


def code_identity() -> Code:
    """The version, and in a git checkout the commit and a SHA-256 of the uncommitted changes (None without any)."""
    root = PACKAGE.parents[1]
    identity: Code = {"version": passingloop.__version__, "commit": None, "changes": None}
    if not (root / ".git").exists():
        return identity
    commit = _git(root, "rev-parse", "HEAD")
    changes = _git(root, "diff", "HEAD", "--", "src", "config")
    if commit is not None:
        identity["commit"] = commit.decode().strip()
    if changes:
        identity["changes"] = hashlib.sha256(changes).hexdigest()
    return identity


def _git(root: Path, *arguments: str) -> bytes | None:
    try:
        process = subprocess.run(["git", "-C", str(root), *arguments], capture_output=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None  # git is not installed or does not answer
    return process.stdout if process.returncode == 0 else None


def code_environment(environ: Mapping[str, str], folder: Path) -> dict[str, str]:
    """`environ` for a Python process that imports the package from `folder`."""
    return {**environ, "PYTHONPATH": os.pathsep.join(filter(None, [str(folder), environ.get("PYTHONPATH")]))}


@dataclass(frozen=True, slots=True)
class FrozenCode:
    """A copy of this package's source, which jobs import from a folder."""

    folder: Path
    """Named by a digest of the content, so that submissions of the same code share it."""
    files: Mapping[Path, bytes]
    """Empty for a folder that is there."""
    identity: Callable[[], Code]
    """Its version. Called when it is needed: git takes 20 ms."""

    @classmethod
    def of_package(cls, parent: Path) -> FrozenCode:
        """Read the package's source as it is now; its folder is to be in `parent`."""
        files = {path.relative_to(PACKAGE.parent): path.read_bytes() for path in sorted(PACKAGE.rglob("*.py"))}
        return cls(parent / _digest(files), files, code_identity)

    @classmethod
    def of_version(cls, parent: Path, code: Code) -> FrozenCode | None:
        """Read the package's source at the commit of `code`.

        None if this is no git checkout that has it, or the source had changes that were not committed.
        """
        if code["commit"] is None or code["changes"] is not None:
            return None
        source = PACKAGE.relative_to(PACKAGE.parents[1])
        archive = _git(PACKAGE.parents[1], "archive", "--format=tar", code["commit"], "--", str(source))
        if archive is None:
            return None
        with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
            read = {Path(member.name): tar.extractfile(member) for member in tar if member.name.endswith(".py")}
        files = {path.relative_to(source.parent): file.read() for path, file in sorted(read.items()) if file}
        return cls(parent / _digest(files), files, lambda: code)

    def write(self) -> None:
        """Write the folder, unless it exists already."""
        if self.folder.exists():
            return
        temporary = self.folder.with_name(f".{self.folder.name}.{os.getpid()}")
        temporary.mkdir(mode=0o700)
        for path, content in self.files.items():
            (temporary / path).parent.mkdir(parents=True, exist_ok=True)
            (temporary / path).write_bytes(content)
        temporary.rename(self.folder)  # not synced: the files are many, and can be written again


def _digest(files: Mapping[Path, bytes]) -> str:
    digest = hashlib.sha256()
    for path, content in files.items():
        digest.update(f"{path}\0{len(content)}\0".encode() + content)
    return digest.hexdigest()[:16]
