"""What docs/how-to/add-an-optimizer.md tells one to write: its test passes, and a run with it resumes bitwise."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from passingloop.rundir.directory import RunDir
from tests.docs.additions import copy_with, environment, keeps_style, passes
from tests.runs.small import lines
from tests.train.tiny import make_model, make_tokenizer

pytestmark = pytest.mark.process

PAGE = "add-an-optimizer.md"


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program with the page's optimizer in it, a model and data."""
    root = copy_with(PAGE, tmp_path_factory.mktemp("copy"), settings="OPTIMIZERS = {")
    make_tokenizer().save_pretrained(root / "model")
    make_model("bert", "classification").save_pretrained(root / "model")
    words = ("train", "queue", "node", "shell", "loop", "siding", "signal", "track")
    rows = [f"{words[i % 8]} {words[i % 5]} {i},{words[i % 3]}" for i in range(120)]
    (root / "data.csv").write_text("text,label\n" + "\n".join(rows))
    return root


def training(root: Path, *words: str) -> subprocess.Popen[str]:
    settings = (
        *("optim=lion", "model.path=model", "data=files", "data.train=data.csv", "data.max_length=24", "tracking=none"),
        *("trainer.batch_size=16", "trainer.steps=40", "trainer.log_every=1", "trainer.deterministic=true"),
        *("checkpoint.every_steps=4",),
    )
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "stdin": subprocess.DEVNULL}
    command = [sys.executable, "train.py", *settings, *words]
    return subprocess.Popen(command, cwd=root, env=environment(root), text=True, **pipes)


def finished(process: subprocess.Popen[str], code: int = 0) -> str:
    stdout, stderr = process.communicate(timeout=120)
    assert process.returncode == code, stdout + stderr
    return stdout


def test_its_test_passes(copy: Path) -> None:
    passes(copy, "tests/train/optim/test_lion.py")
    keeps_style(copy, PAGE)


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
