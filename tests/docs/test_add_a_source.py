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
from passingloop.data.registry import open_source

config = settings(compose(["data=mbox", "data.train=all.mbox", "data.label=X-Team"]), Path('/nowhere'))
try:
    open_source(config.data, config.task, config.cache_root).look()
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
    for path in ("config/data/mbox.yaml", "src/passingloop/data/mbox.py", "tests/data/test_mbox.py"):
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(written.pop(path))
    changed = ("config/data.py", "data/registry.py", "config/compose.py")
    settings, sources, compose = (root / "src" / "passingloop" / path for path in changed)
    text, union = settings.read_text(), written.pop("src/passingloop/config/data.py")
    settings.write_text(re.sub(r"^AnySource = .*\n", lambda _: union, text, count=1, flags=re.MULTILINE))
    importing = "from passingloop.config.data import "
    text, case = sources.read_text(), written.pop("src/passingloop/data/registry.py")
    text = text.replace(importing, f"{importing}MboxData, ", 1)
    sources.write_text(text.replace("        case StdlibData():\n", f"{case}        case StdlibData():\n", 1))
    text, case = compose.read_text(), written.pop("src/passingloop/config/compose.py")
    before, located, after = text.partition("def _located_source(")
    after = after.replace("        case _:\n", f"{case}        case _:\n", 1)
    compose.write_text(before.replace(importing, f"{importing}MboxData, ", 1) + located + after)
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
    done = python(copy, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/data/test_mbox.py")
    assert "1 passed" in done.stdout, done.stdout


def test_it_keeps_the_style(copy: Path) -> None:
    page = [str(path) for path in copy.rglob("*mbox.py")]
    assert len(page) == 2
    ruff = ("-m", "ruff", "check", "--config", str(ROOT / "pyproject.toml"), "--ignore=S101")
    done = python(copy, *ruff, *page)
    assert done.returncode == 0, done.stdout


def test_the_union_names_every_source_there_is() -> None:
    """The page repeats that line, so a new source must be added there, too."""
    [line] = re.findall(r"^AnySource = (.*)$", (ROOT / "src/passingloop/config/data.py").read_text(), re.MULTILINE)
    assert f"AnySource = {line} | MboxData\n" in PAGE.read_text()
