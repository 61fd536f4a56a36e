"""What docs/how-to/add-a-source.md tells one to write, written: it composes, reads, and passes its own test."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT

PAGE = ROOT / "docs" / "how-to" / "add-a-source.md"

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


def blocks() -> dict[str, str]:
    """The page's code blocks by the path in their first line, without that line."""
    found = re.findall(r"```(?:python|yaml)\n# (\S+)\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    return dict(found)


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program with the page's source in it."""
    root = tmp_path_factory.mktemp("copy")
    for folder in ("src", "config"):
        shutil.copytree(ROOT / folder, root / folder, ignore=shutil.ignore_patterns("__pycache__"))
    written = blocks()
    registry = root / "src" / "passingloop" / "config" / "data.py"
    line = written.pop("src/passingloop/config/data.py")
    assert line.count("\n") == 1
    registry.write_text(registry.read_text().replace("SOURCES = {\n", f"SOURCES = {{\n{line}", 1))
    new = ("config/data/mbox.yaml", *(f"src/passingloop/data/mbox/{name}.py" for name in ("settings", "source")))
    for path in (*new, "tests/data/mbox/test_source.py"):
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(written.pop(path))
    assert not written, "every block is used"
    return root


def python(root: Path, *words: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONPATH": str(root / "src"), "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(
        [sys.executable, *words], cwd=root, env=environment, capture_output=True, text=True, check=False
    )


def test_its_settings_and_its_class_are_found(copy: Path) -> None:
    done = python(copy, "-c", USE)
    assert done.stdout == "MboxData X-Team You set data.train=/nowhere/all.mbox, but there is no such file.\n", (
        done.stderr
    )


def test_its_test_passes(copy: Path) -> None:
    done = python(copy, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/data/mbox/test_source.py")
    assert "1 passed" in done.stdout, done.stdout


def test_it_keeps_the_style(copy: Path) -> None:
    page = [str(path) for path in copy.rglob("mbox/*.py")]
    assert len(page) == 3
    ruff = ("-m", "ruff", "check", "--config", str(ROOT / "pyproject.toml"), "--ignore=S101")
    done = python(copy, *ruff, *page)
    assert done.returncode == 0, done.stdout
