"""What docs/how-to/add-a-verb.md tells one to write, written: the verb is there and passes its own test."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.docs.additions import copy_with, keeps_style, passes, python

pytestmark = pytest.mark.process

PAGE = "add-a-verb.md"


def test_the_verb_of_the_page_works(tmp_path: Path) -> None:
    root = copy_with(PAGE, tmp_path, main='    "runs": ')
    shown = python(root, "-m", "passingloop.cli.main", "--help").stdout
    assert "disk      " in shown
    assert "the disk space that runs take" in shown
    passes(root, "tests/cli/runs/test_disk.py")
    keeps_style(root, PAGE)
