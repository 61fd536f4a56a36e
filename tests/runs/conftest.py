"""Runs in this process (quick) or through the command line (all of it), on real and on tiny models."""

from __future__ import annotations

import functools
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
import torch

from passingloop import files
from passingloop.config.build import to_plain
from passingloop.errors import Interrupted
from passingloop.handoff import Handoff, World
from passingloop.plan import run_folder
from passingloop.preempt.signals import StopRequest
from passingloop.rundir import ledger, record
from passingloop.rundir.code import code_identity
from passingloop.rundir.directory import RunDir
from passingloop.rundir.events import Start
from passingloop.startup.phases import Phases
from passingloop.train.attempt import Attempt
from tests.conftest import ROOT, composed
from tests.data.gcs.conftest import bad_line, bucket, emulator, key_file, private_key, running_emulator
from tests.runs.small import SMALL
from tests.train.tiny import make_model, make_tokenizer

__all__ = ["bad_line", "bucket", "emulator", "key_file", "private_key", "running_emulator"]


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """`tiny("bert")`: a folder with an untrained model of that kind, and a tokenizer with a chat template."""

    @functools.cache
    def make(kind: str) -> Path:
        folder = tmp_path_factory.mktemp(kind)
        make_tokenizer().save_pretrained(folder)
        make_model(kind).save_pretrained(folder)
        return folder

    return make


@pytest.fixture
def small(tiny: Callable[[str], Path], tmp_path: Path) -> tuple[str, ...]:
    """`SMALL` with a tiny BERT on a file of its own: a second or less."""
    data = tmp_path / "small.csv"
    words = ("train", "queue", "node", "shell", "loop", "siding", "signal", "track")
    rows = [f"{' '.join(words[(i * k) % 8] for k in range(2, 3 + i % 9))} {i},{words[i % 3]}" for i in range(120)]
    data.write_text("text,label\n" + "\n".join(rows))
    return (*SMALL, "data=files", f"data.train={data}", f"model.path={tiny('bert')}")


@pytest.fixture
def chats(tmp_path: Path) -> Path:
    """A hundred chats with answers of different lengths."""
    path = tmp_path / "chats.jsonl"
    with path.open("w") as file:
        for i in range(100):
            turns = [("user", f"{i}?"), ("assistant", "yes " * (i % 7 + 1))]
            file.write(json.dumps({"messages": [{"role": role, "content": text} for role, text in turns]}) + "\n")
    return path


@pytest.fixture
def train_here(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., RunDir]]:
    """Runs one attempt in this process, as the launcher's child would. With `stop_after` a real SIGTERM arrives once
    that step is in the metrics."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # quicker for tiny models, and far quicker when the cores are busy
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}

    def train(*overrides: str, stop_after: int | None = None) -> RunDir:
        config = composed(tmp_path, f"cache_root={cache}", "tracking=none", *overrides)
        run = RunDir(run_folder(config))
        run.path.mkdir(parents=True, exist_ok=True)
        if not run.record.exists():
            record.create(run, config, code_identity())
        number = ledger.read(run).next_attempt
        for folder in (run.launch(number).parent, run.logs):
            folder.mkdir(exist_ok=True)
        files.write_json(run.launch(number), to_plain(config))
        start = Start(
            attempt=number,
            launcher="shell",
            job_id=None,
            nodes=["here"],
            processes=1,
            start_step=run.saved_step,
            code=code_identity(),
        )
        ledger.append(run, start)
        stop = StopRequest()
        is_over = threading.Event()
        if stop_after is not None:
            threading.Thread(target=_stop_at, args=(run, number, stop_after, is_over), daemon=True).start()
        try:
            handoff = Handoff(attempt=number, world=World(0, 1, 0, 1))
            Attempt(run, handoff, stop, Phases(time.time(), handoff)).train()
        except Interrupted:
            assert stop_after is not None
        finally:
            is_over.set()
        return run

    yield train
    for number, handler in handlers.items():
        signal.signal(number, handler)
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(False)


def _stop_at(run: RunDir, attempt: int, step: int, is_over: threading.Event) -> None:
    while not any(row["attempt"] == attempt and row["step"] >= step for row in files.read_json_lines(run.metrics)):
        if is_over.wait(0.005):
            return
    os.kill(os.getpid(), signal.SIGTERM)


@pytest.fixture
def command(work: Path, cache: Path) -> Callable[..., subprocess.Popen[str]]:
    """Starts ``python train.py`` in `work`."""

    def start(
        *overrides: str, stderr: int = subprocess.PIPE, env: Mapping[str, str] | None = None
    ) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, str(ROOT / "train.py"), *overrides],
            cwd=work,
            env=os.environ | {"PASSINGLOOP_CACHE": str(cache), "HF_HUB_OFFLINE": "1"} | (env or {}),
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
        )

    return start
