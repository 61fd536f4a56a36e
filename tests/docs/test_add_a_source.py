"""What docs/how-to/add-a-source.md tells one to write, written: it composes, reads, and passes its own test."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.docs.additions import copy_with, keeps_style, passes, python

pytestmark = pytest.mark.process

PAGE = "add-a-source.md"

USE = """
from pathlib import Path
from passingloop.config.compose import compose, settings
from passingloop.data.source import open_source

config = settings(compose(["data=mbox", "data.train=all.mbox", "data.label=X-Team"]), Path('/nowhere'))
try:
    open_source(config.data, config.task, config.cache_root).check()
except Exception as error:
    print(type(config.data).__name__, config.data.label, error)
"""


def test_the_source_of_the_page_works(tmp_path: Path) -> None:
    root = copy_with(PAGE, tmp_path, data="SOURCES = {")
    done = python(root, "-c", USE)
    assert done.stdout == "MboxData X-Team You set data.train=/nowhere/all.mbox, but there is no such file.\n", (
        done.stderr
    )
    passes(root, "tests/data/mbox/test_source.py")
    keeps_style(root, PAGE)
