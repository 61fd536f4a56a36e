"""`scripts/same-as` tells whether this code learns what another revision learns."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT

NO_HISTORY = pytest.mark.skipif(not (ROOT / ".git").exists(), reason="this is no git checkout")


def same_as(revision: str, folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-P", str(ROOT / "scripts" / "same-as"), revision]
    # Temporary files are made in `folder`, to see that none is left.
    environment = os.environ | {"TMPDIR": str(folder)}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


@NO_HISTORY
def test_a_revision_that_is_not_there(tmp_path: Path) -> None:
    done = same_as("no-such-revision", tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "same-as: There is no revision no-such-revision in this repository.\n"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
@pytest.mark.timeout(900)
@NO_HISTORY
def test_this_code_learns_what_the_last_commit_learns(tmp_path: Path) -> None:
    done = same_as("HEAD", tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    *cases, last = done.stdout.splitlines()
    assert last == "same"
    assert all(case.startswith("same ") for case in cases)
    assert sum("begun by REV" in case for case in cases) == 2
    assert list(tmp_path.iterdir()) == []
