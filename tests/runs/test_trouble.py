"""What goes wrong around a run, and what becomes of it: full disks, no memory, other machines, bad moments."""

from __future__ import annotations

import os
import pty
import re
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from passingloop import files
from passingloop.errors import NotSaved, Superseded
from passingloop.plan import run_folder
from passingloop.rundir import failure, ledger
from passingloop.rundir.directory import RunDir
from passingloop.train.checkpoints import format
from passingloop.train.layout import Layout
from passingloop.train.module import Batch, FineTuner
from passingloop.vitals import pulse
from tests.conftest import Disk, Finished, composed, trainer_of
from tests.rundir.events import start
from tests.runs.small import lines, run_of
from tests.runs.test_resume import learned

pytestmark = pytest.mark.process

Train = Callable[..., RunDir]
Command = Callable[..., subprocess.Popen[str]]


def test_a_disk_that_is_full_for_a_while_changes_nothing(
    train_here: Train, small: tuple[str, ...], disk: Disk, capsys: pytest.CaptureFixture[str]
) -> None:
    overrides = (*small, "trainer.steps=200", "checkpoint.every_steps=5", "trainer.eval_every=100", "data.limit=48")
    whole = train_here(*overrides)
    trouble = threading.Thread(target=_full_for_a_second, args=(disk,))
    trouble.start()
    run = train_here(*overrides, f"run_root={disk.folder}")
    trouble.join()
    assert "cannot be written: No space left on device. Training goes on" in capsys.readouterr().err
    assert learned(run) == learned(whole)
    assert [row["step"] for row in lines(run.metrics, split="train")] == list(range(1, 201))
    assert run.saved_step == 200
    assert list(run.checkpoints.glob(".*")) == []


def test_after_a_failed_export_the_same_command_only_exports(
    train_here: Train, small: tuple[str, ...], tmp_path: Path
) -> None:
    words = (*small, "trainer.steps=3")
    whole = train_here(*words)
    words = (*words, "name=other")
    run = RunDir(run_folder(composed(tmp_path, *words)))
    run.path.mkdir(parents=True)
    run.export.with_name(".export.attempt-1").symlink_to("/nowhere/export")
    with pytest.raises(NotSaved, match=r"cannot be written: .* The same command exports it, without training again\.$"):
        train_here(*words)
    train_here(*words)
    assert {row["attempt"] for row in lines(run.metrics, split="train")} == {1}
    assert learned(run) == learned(whole)


def test_if_nothing_can_be_written_the_message_says_where_the_next_attempt_begins(
    train_here: Train, small: tuple[str, ...], tmp_path: Path
) -> None:
    words = (*small, "trainer.steps=3")
    run = RunDir(run_folder(composed(tmp_path, *words)))
    run.path.mkdir(parents=True)
    run.export.with_name(".export.attempt-1").symlink_to("/nowhere/export")
    run.checkpoints.symlink_to("/nowhere/checkpoints")
    with pytest.raises(NotSaved, match=r"No checkpoint could be written either: .* trains again from step 0\.$"):
        train_here(*words)


def test_the_last_checkpoint_is_tried_again_before_the_export(
    train_here: Train, small: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first try fails: a fake, as a real fault would have to end between the two."""
    write, tries = format.write, []

    def fail_first(run: RunDir, progress: format.Progress, *rest: Any, **kept: Any) -> None:
        tries.append(progress.step)
        if len(tries) == 1:
            raise NotSaved("The server is away.")
        write(run, progress, *rest, **kept)

    monkeypatch.setattr(format, "write", fail_first)
    run = train_here(*small, "trainer.steps=3")
    assert tries == [3, 3]
    assert run.saved_step == 3


def _full_for_a_second(disk: Disk) -> None:
    _until(lambda: any(lines(path) for path in disk.folder.glob("*/*/metrics.jsonl")))
    disk.fill()
    time.sleep(1.0)
    disk.clear()


def test_a_lost_terminal_and_pipe_do_not_touch_the_run(command: Command, small: tuple[str, ...], work: Path) -> None:
    """With SIGHUP ignored, as nohup has it: otherwise a closed terminal asks the run to stop."""
    master, slave = pty.openpty()
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        words = (*small, "trainer.steps=60", "tracking=none")
        running = command(*words, stderr=slave, env={"TERM": "xterm"})
    finally:
        signal.signal(signal.SIGHUP, before)
    os.close(slave)
    shown = b""
    while not re.search(rb"step [1-9]\d*/", shown):
        shown += os.read(master, 65536)
    os.close(master)
    assert running.stdout
    running.stdout.close()
    assert running.wait(60) == 0
    [result] = work.glob("runs/*/*/result.json")
    assert files.read_json(result)["steps"] == 60
    [end] = lines(result.with_name("attempts.jsonl"), event="end")
    assert end["cause"] == "completed"


def test_a_validation_gives_way_and_is_made_up_for(
    train_here: Train, small: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    overrides = (*small, "trainer.eval_every=4")
    whole = train_here(*overrides, "name=whole")
    with monkeypatch.context() as patch:
        _terminated_in_the_first_validation(patch)
        run = train_here(*overrides, "name=parts", stop_after=10**9)
    assert run.saved_step == 4, "the step is saved although its validation was given up"
    assert lines(run.metrics, split="validation") == []
    train_here(*overrides, "name=parts")
    assert learned(run) == learned(whole)
    assert [row["step"] for row in lines(run.metrics, split="validation")] == [4, 8, 12]


def _terminated_in_the_first_validation(patch: pytest.MonkeyPatch) -> None:
    batches = Layout.batches

    def ask_to_stop(*arguments: Any) -> Iterator[Batch]:
        os.kill(os.getpid(), signal.SIGTERM)
        yield from batches(*arguments)

    patch.setattr(Layout, "batches", ask_to_stop)


def test_asked_to_stop_in_the_last_test_it_saves_and_the_next_attempt_only_finishes(
    train_here: Train, small: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    overrides = (*small, "trainer.eval_every=1000", "data.validation_fraction=0")
    whole = train_here(*overrides, "name=whole")
    with monkeypatch.context() as patch:
        _terminated_in_the_first_validation(patch)
        run = train_here(*overrides, "name=parts", stop_after=10**9)
    assert (run.saved_step, run.read_result()) == (12, None)
    train_here(*overrides, "name=parts")
    assert learned(run) == learned(whole)
    assert [row["start_step"] for row in lines(run.attempts, event="start")] == [0, 12]


def test_a_better_validation_is_saved_and_the_best_stays(train_here: Train, small: tuple[str, ...]) -> None:
    overrides = (*small, "trainer.steps=12", "trainer.eval_every=1", "optim.lr=0.003")
    run = train_here(*overrides)
    losses = {row["step"]: row["loss"] for row in lines(run.metrics, split="validation")}
    best = min(losses, key=lambda step: (losses[step], step))
    assert {best, 12} <= {int(path.name.removeprefix("step-")) for path in run.complete_checkpoints()}
    assert format.best_loss(run, run.checkpoint(12)) == losses[best]


def test_out_of_a_gpus_memory_the_micro_batch_is_halved(
    train_here: Train, small: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """There is no GPU in this test: the error is torch's own, raised where a GPU that holds 80 tokens would."""
    overrides = (*small, "model.dropout=0", "trainer.precision=fp32", "trainer.micro_batch=auto")
    whole = train_here(*overrides, "name=whole")
    forward, tried = FineTuner.forward, []

    def with_little_room(module: FineTuner, batch: Batch) -> torch.Tensor:
        tokens = batch["inputs"]["input_ids"].numel()
        tried.append(tokens)
        if module.training and tokens > 80:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.\nGPU 0 has …")
        return forward(module, batch)

    monkeypatch.setattr(FineTuner, "forward", with_little_room)
    attempts = 0
    while attempts < 5:
        attempts += 1
        try:
            run = train_here(*overrides, "name=parts")
        except torch.OutOfMemoryError:
            tried.clear()
        else:
            break
    ends = lines(run.attempts, event="end")
    assert {(end["cause"], end["memory"]) for end in ends[:-1]} == {("oom", "device")}
    assert [end["tokens"] for end in ends[:-1]] == sorted((end["tokens"] for end in ends[:-1]), reverse=True)
    assert "memory ran out in step 1, with 16 rows in a forward pass: CUDA out of memory." in ends[0]["message"]
    assert ends[-1]["cause"] == "completed"
    assert 40 < max(tried) <= 80, "it is halved, not divided by more than it takes"
    one, other = whole.read_result(), run.read_result()
    assert one and other
    assert (one["samples"], one["tokens"]) == (other["samples"], other["tokens"])
    for mine, others in zip(lines(whole.metrics), lines(run.metrics), strict=True):
        assert others["loss"] == pytest.approx(mine["loss"], rel=1e-3)


def test_what_failed_first_is_what_the_end_says(train_here: Train, small: tuple[str, ...]) -> None:
    """Rank 0 usually fails only because another process is gone; that one has left its words."""
    run = train_here(*small, stop_after=2)
    earlier = failure.Failure(step=7, cause="oom", message="no memory on rank 1", memory="host", time="2000")
    failure.write(run, 2, 1, earlier)
    with pytest.raises(Exception, match="has other content"):
        _with_other_data(train_here, small)
    end = lines(run.attempts, event="end")[-1]
    assert (end["cause"], end["message"], end["memory"]) == ("oom", "no memory on rank 1", "host")


def _with_other_data(train_here: Train, small: tuple[str, ...]) -> None:
    [data] = [Path(word.removeprefix("data.train=")) for word in small if word.startswith("data.train=")]
    data.write_text(data.read_text() + "\none more,train")
    train_here(*small)


def test_a_superseded_attempt_leaves_the_run_as_it_is(
    train_here: Train, small: tuple[str, ...], tmp_path: Path
) -> None:
    """As on a node that is cut off: Slurm starts the run elsewhere, and nobody ends what trains here."""
    root, seen = tmp_path / "elsewhere", dict[Path, bytes]()

    def start_elsewhere() -> None:
        _until(lambda: any(lines(path, step=5) for path in root.glob("*/*/metrics.jsonl")))
        [metrics] = root.glob("*/*/metrics.jsonl")
        ledger.append(RunDir(metrics.parent), start(2))
        time.sleep(0.2)  # for what was being written at that moment
        seen.update(_contents(root))

    elsewhere = threading.Thread(target=start_elsewhere)
    elsewhere.start()
    with pytest.raises(Superseded, match="Attempt 2"):
        train_here(*small, "trainer.steps=5000", "checkpoint.every_steps=1", f"run_root={root}")
    elsewhere.join()
    assert seen
    logs = {path for path in seen if path.parent.name == "logs"}
    assert {path: text for path, text in _contents(root).items() if path not in logs} == {
        path: text for path, text in seen.items() if path not in logs
    }


def _contents(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.slow
@pytest.mark.parametrize(
    "places",
    [
        pytest.param((("2",), ("1",), ("4",)), id="two processes, one, four"),
        pytest.param((("2", "fsdp"), ("1",), ("3", "fsdp")), id="sharded over two, whole, sharded over three"),
    ],
)
def test_other_processes_continue_the_same_run(
    command: Callable[..., subprocess.Popen[str]],
    train: Callable[..., Finished],
    small: tuple[str, ...],
    places: tuple[tuple[str, ...], ...],
) -> None:
    """Every sample once, in the same order, and the losses of one process."""
    overrides = (*small, "model.dropout=0", "trainer.precision=fp32", "trainer.steps=40", "trainer.eval_every=20")
    whole = run_of(train(*overrides, "name=whole"))
    settings = ("resources.tasks=", "resources.strategy=")
    words = [[setting + value for setting, value in zip(settings, place, strict=False)] for place in places]
    for word, step in zip(words, (8, 20), strict=False):
        _stop_at(command(*overrides, "name=parts", "tracking=none", *word), step)
    last = train(*overrides, "name=parts", *words[-1])
    assert last.code == 0, last.stderr
    parts = run_of(last)
    assert [row["processes"] for row in lines(parts.attempts, event="start")] == [int(place[0]) for place in places]
    steps = [row["start_step"] for row in lines(parts.attempts, event="start")]
    assert 0 == steps[0] < steps[1] < steps[2] < 40
    one, other = whole.read_result(), parts.read_result()
    assert one and other
    assert (one["samples"], one["tokens"]) == (other["samples"], other["tokens"])
    mine = {(row["split"], row["step"]): row["loss"] for row in lines(whole.metrics)}
    others = {(row["split"], row["step"]): row["loss"] for row in lines(parts.metrics)}
    assert mine.keys() == others.keys()
    for key, loss in mine.items():
        assert others[key] == pytest.approx(loss, rel=2e-3), key


def test_how_far_it_has_come_is_told_while_it_runs(
    command: Callable[..., subprocess.Popen[str]], small: tuple[str, ...]
) -> None:
    process = command(*small, "trainer.steps=100000", "trainer.log_every=100000", "checkpoint.every_steps=50")
    run = _run(process)
    _until(lambda: (told := pulse.read(run, 1)) is not None and told.step > told.saved_step > 100)
    os.kill(trainer_of(process), signal.SIGKILL)
    process.communicate(timeout=60)
    told, [end] = pulse.read(run, 1), lines(run.attempts, event="end")
    assert told is not None and pulse.read(run, 2) is None
    assert end["end_step"] == told.step > run.saved_step - 50
    assert end["seconds"]["training"] == told.seconds.training > 0
    assert 0 < end["seconds"]["lost"] < end["seconds"]["training"]


def _run(process: subprocess.Popen[str]) -> RunDir:
    """That `process` trains, once it does."""
    return RunDir(Path(Path(f"/proc/{trainer_of(process)}/cmdline").read_bytes().split(b"\0")[-2].decode()))


def _stop_at(process: subprocess.Popen[str], step: int) -> None:
    run = _run(process)
    _until(lambda: any(row["step"] >= step for row in files.read_json_lines(run.metrics)))
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 130, stderr


def _until(happened: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.01)
