"""Which code a run was trained with."""

from __future__ import annotations

import hashlib
import subprocess
from pathlib import Path

import passingloop

Code = dict[str, str | None]


def code_identity() -> Code:
    """Version, and for a git checkout the commit and a digest of what differs from it (null when nothing does)."""
    root = Path(passingloop.__file__).resolve().parents[2]
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
