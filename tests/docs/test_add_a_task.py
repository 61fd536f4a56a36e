"""What docs/how-to/add-a-task.md tells one to write, written: it trains, passes its own test, and keeps the style."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.train.tiny import make_model, make_tokenizer

PAGE = ROOT / "docs" / "how-to" / "add-a-task.md"
NEW = ("src/passingloop/tasks/stars.py", "tests/tasks/test_stars.py")
SHORT = ("trainer.steps=3", "trainer.batch_size=8", "trainer.eval_every=3", "resources=cpu", "tracking=none")


def blocks() -> dict[str, str]:
    """The page's code blocks by the path in their first line, without that line."""
    found = re.findall(r"```python\n# (\S+)\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    return dict(found)


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program with the page's task in it, a tiny model and some data."""
    root = tmp_path_factory.mktemp("copy")
    for folder in ("src", "config"):
        shutil.copytree(ROOT / folder, root / folder, ignore=shutil.ignore_patterns("__pycache__"))
    written = blocks()
    for path in NEW:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(written.pop(path))
    settings = root / "src" / "passingloop" / "config" / "settings.py"
    [line] = written.pop("src/passingloop/config/settings.py").splitlines(keepends=True)
    settings.write_text(settings.read_text().replace("TASKS = {\n", f"TASKS = {{\n{line}", 1))
    assert not written, "every block is used"
    make_model("bert", "classification").save_pretrained(root / "model")
    make_tokenizer().save_pretrained(root / "model")
    rows = [f"{'the fox ' * (n % 5)}{n},{n % 5}\n" for n in range(60)]
    (root / "reviews.csv").write_text("text,rating\n" + "".join(rows))
    (root / "bad.csv").write_text("text,rating\n" + "".join(rows) + "the dog,five\n")
    return root


def python(root: Path, *words: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONPATH": str(root / "src"), "PYTHONDONTWRITEBYTECODE": "1"}
    environment |= {"PASSINGLOOP_CACHE": str(root / "cache"), "HF_HUB_OFFLINE": "1"}
    return subprocess.run(
        [sys.executable, *words], cwd=root, env=environment, capture_output=True, text=True, check=False
    )


def train(root: Path, data: str) -> subprocess.CompletedProcess[str]:
    named = ("task=stars", "data=files", f"data.train={data}", "data.label=rating", "model.path=model")
    return python(root, "-m", "passingloop.cli.main", "train", *named, *SHORT)


def test_it_trains(copy: Path) -> None:
    done = train(copy, "reviews.csv")
    assert done.returncode == 0, done.stderr
    run = Path(done.stdout.strip())
    result = json.loads((run / "result.json").read_text())
    assert result["steps"] == 3
    assert {"validation/loss", "validation/stars_off"} <= set(result["metrics"])
    exported = json.loads((run / "export" / "config.json").read_text())
    assert exported["id2label"]["3"] == "more than 3"


def test_a_bad_label_is_named(copy: Path) -> None:
    done = train(copy, "bad.csv")
    assert done.returncode != 0
    assert "'five' is no number from 0 to 4" in done.stderr


def test_its_test_passes(copy: Path) -> None:
    done = python(copy, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/tasks/test_stars.py")
    assert "1 passed" in done.stdout, done.stdout


def test_it_keeps_the_style(copy: Path) -> None:
    ruff = ("-m", "ruff", "check", "--config", str(ROOT / "pyproject.toml"), "--ignore=S101")
    done = python(copy, *ruff, *NEW)
    assert done.returncode == 0, done.stdout
