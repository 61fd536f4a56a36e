"""What a page of docs/how-to tells one to add, added to a copy of the program from the page's own code blocks."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from tests.conftest import ROOT

COPIED = ("src", "config", "docs", "tests", "train.py", "pyproject.toml")


def blocks(page: str) -> dict[str, str]:
    """The code blocks of docs/how-to/`page` by the path in their first line, without that line."""
    text = (ROOT / "docs" / "how-to" / page).read_text(encoding="utf-8")
    return dict(re.findall(r"```(?:python|yaml)\n# (\S+)\n(.*?)```", text, re.DOTALL))


def copy_with(page: str, root: Path, **lines: str) -> Path:
    """A copy of the program in `root` with what `page` adds: new files whole, and a line in a file that is there.

    Args:
        lines: for a file that is there already, by its name without ending, how a line of it begins. The page's line
            takes its place if it begins alike, else it comes after it. An addition must not need more.
    """
    for name in COPIED:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, root / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / name, root / name)
    for path, text in blocks(page).items():
        target = root / path
        if target.exists():
            _add_line(target, lines.pop(target.stem), text)
        else:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text)
    assert not lines, f"{page} has no block for {', '.join(lines)}"
    return root


def _add_line(path: Path, beginning: str, text: str) -> None:
    assert text.count("\n") == 1, "one line elsewhere, at most"
    lines = path.read_text().splitlines(keepends=True)
    [place] = [number for number, line in enumerate(lines) if line.startswith(beginning)]
    kept = [] if text.startswith(beginning) else [lines[place]]
    path.write_text("".join([*lines[:place], *kept, text, *lines[place + 1 :]]))


def environment(root: Path) -> dict[str, str]:
    """Variables with which the package is the copy in `root`."""
    variables = {"PYTHONPATH": str(root / "src"), "PYTHONDONTWRITEBYTECODE": "1"}
    return os.environ | variables | {"PASSINGLOOP_CACHE": str(root / "cache"), "HF_HUB_OFFLINE": "1"}


def python(root: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """`python` with `words`, in which the package is the copy in `root`."""
    return subprocess.run(
        [sys.executable, *words], cwd=root, env=environment(root), capture_output=True, text=True, check=False
    )


def passes(root: Path, *test: str) -> None:
    """A test passes in the copy."""
    done = python(root, "-m", "pytest", "-q", "-p", "no:cacheprovider", *test)
    assert done.returncode == 0, done.stdout + done.stderr
    assert " passed" in done.stdout, done.stdout + done.stderr


def keeps_style(root: Path, page: str) -> None:
    """What the page adds passes the linter, and the program with it the tests on rooms, folders and choices."""
    added = [str(root / path) for path in blocks(page) if path.endswith(".py")]
    done = python(root, "-m", "ruff", "check", "--config", str(ROOT / "pyproject.toml"), *added)
    assert done.returncode == 0, done.stdout
    passes(root, "tests/test_architecture.py", "-k", "table or circle or size or same_name")
    passes(root, "tests/config/test_build.py", "-k", "every_choice_composes")
