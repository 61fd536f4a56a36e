"""What docs/how-to/add-an-optimizer.md tells one to write: its test passes, and a run with it resumes bitwise."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from passingloop.rundir.directory import RunDir
from tests.conftest import ROOT
from tests.runs.small import lines
from tests.train.tiny import make_model, make_tokenizer

pytestmark = pytest.mark.process

PAGE = ROOT / "docs" / "how-to" / "add-an-optimizer.md"
LINES = {"settings": "AnyOptim = ", "optim": "KINDS: "}
"""In each changed file, how the line begins that the page's block ends with and takes the place of."""


def blocks() -> dict[str, str]:
    """The page's code blocks by the path in their first line, without that line."""
    pairs = re.findall(r"```(?:python|yaml)\n# (\S+)\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    return dict(pairs)


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program with the page's optimizer in it, a model and data."""
    root = tmp_path_factory.mktemp("copy")
    for folder in ("src", "config"):
        shutil.copytree(ROOT / folder, root / folder, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "train.py", root)
    for path, block in blocks().items():
        target = root / path
        if target.exists():
            begins = LINES[target.stem]
            before, replaced, after = re.split(rf"^({re.escape(begins)}.*\n)", target.read_text(), flags=re.MULTILINE)
            assert replaced
            target.write_text(
                before.replace("AdamWConfig, AnyOptim", "AdamWConfig, AnyOptim, LionConfig", 1) + block + after
            )
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(block)
    make_tokenizer().save_pretrained(root / "model")
    make_model("bert", "classification").save_pretrained(root / "model")
    words = ("train", "queue", "node", "shell", "loop", "siding", "signal", "track")
    rows = [f"{words[i % 8]} {words[i % 5]} {i},{words[i % 3]}" for i in range(120)]
    (root / "data.csv").write_text("text,label\n" + "\n".join(rows))
    return root


def environment(root: Path) -> dict[str, str]:
    paths = {"PYTHONPATH": str(root / "src"), "PASSINGLOOP_CACHE": str(root / "cache")}
    return os.environ | paths | {"PYTHONDONTWRITEBYTECODE": "1", "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}


def python(root: Path, *words: str) -> subprocess.Popen[str]:
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "stdin": subprocess.DEVNULL}
    return subprocess.Popen([sys.executable, *words], cwd=root, env=environment(root), text=True, **pipes)


def finished(process: subprocess.Popen[str], code: int = 0) -> str:
    stdout, stderr = process.communicate(timeout=120)
    assert process.returncode == code, stdout + stderr
    return stdout


def training(root: Path, *words: str) -> subprocess.Popen[str]:
    settings = (
        *("optim=lion", "model.path=model", "data=files", "data.train=data.csv", "data.max_length=24", "tracking=none"),
        *("trainer.batch_size=16", "trainer.steps=40", "trainer.log_every=1", "trainer.deterministic=true"),
        *("checkpoint.every_steps=4",),
    )
    return python(root, "train.py", *settings, *words)


def test_its_test_passes(copy: Path) -> None:
    printed = finished(python(copy, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/train/test_lion.py"))
    assert "1 passed" in printed, printed


def test_a_run_with_it_that_was_interrupted_ends_where_it_would_have_ended(copy: Path) -> None:
    whole = RunDir(copy / finished(training(copy, "name=whole")).strip())
    interrupted = training(copy, "name=parts")
    parts = RunDir(copy / "runs" / "parts" / whole.path.name)
    while not lines(parts.metrics, step=6):
        assert interrupted.poll() is None, interrupted.communicate()
        time.sleep(0.01)
    interrupted.send_signal(signal.SIGINT)
    finished(interrupted, code=130)
    assert 0 < parts.saved_step < 40
    finished(training(copy, "name=parts"))
    results = [json.loads(run.result.read_text()) for run in (whole, parts)]
    assert results[0]["weights_sha256"] == results[1]["weights_sha256"]
    assert results[0]["metrics"] == results[1]["metrics"]
    assert json.loads(whole.record.read_text())["config"]["optim"]["kind"] == "lion"


def test_it_keeps_the_style(copy: Path) -> None:
    changed = [str(copy / path) for path in blocks() if path.endswith(".py")]
    assert len(changed) == 3
    ruff = ("-m", "ruff", "check", "--config", str(ROOT / "pyproject.toml"), "--ignore=S101")
    finished(python(copy, *ruff, *changed))


@pytest.mark.parametrize(("path", "begins"), [("config/settings.py", "AnyOptim = "), ("train/optim.py", "KINDS: ")])
def test_the_lines_that_are_extended_are_those_of_the_program(path: str, begins: str) -> None:
    """The page repeats them, so a new optimizer must be added there, too."""
    [line] = re.findall(rf"^{begins}.*$", (ROOT / "src/passingloop" / path).read_text(), re.MULTILINE)
    assert line.rstrip("}") in PAGE.read_text()
