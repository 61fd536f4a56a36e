"""What docs/how-to/add-a-task.md tells one to write, written: it trains, passes its own test, and keeps the style."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from tests.docs.additions import copy_with, keeps_style, passes, python
from tests.train.tiny import make_model, make_tokenizer

pytestmark = pytest.mark.process

PAGE = "add-a-task.md"
SHORT = ("trainer.steps=3", "trainer.batch_size=8", "trainer.eval_every=3", "resources=cpu", "tracking=none")


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program with the page's task in it, a tiny model and some data."""
    root = copy_with(PAGE, tmp_path_factory.mktemp("copy"), settings="TASKS = {")
    make_model("bert", "classification").save_pretrained(root / "model")
    make_tokenizer().save_pretrained(root / "model")
    rows = [f"{'the fox ' * (n % 5)}{n},{n % 5}\n" for n in range(60)]
    (root / "reviews.csv").write_text("text,rating\n" + "".join(rows))
    (root / "bad.csv").write_text("text,rating\n" + "".join(rows) + "the dog,five\n")
    return root


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


@pytest.mark.slow  # that wrong labels are named is shown in tests/tasks
def test_a_bad_label_is_named(copy: Path) -> None:
    done = train(copy, "bad.csv")
    assert done.returncode != 0
    assert "'five' is no number from 0 to 4" in done.stderr


def test_its_test_passes(copy: Path) -> None:
    passes(copy, "tests/tasks/test_stars.py")
    keeps_style(copy, PAGE)
