"""A run that was interrupted ends bitwise where it would have ended."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from passingloop import files
from passingloop.errors import DataChanged, ModelChanged
from passingloop.model.device.kernels import missing_compiler
from passingloop.rundir.directory import RunDir
from tests.conftest import Finished, trainer_of
from tests.runs.small import lines, run_of
from tests.train.tiny import make_model

pytestmark = pytest.mark.process

Train = Callable[..., RunDir]


def learned(run: RunDir) -> tuple[Any, ...]:
    """All that must not depend on interruptions."""
    result = run.read_result()
    assert result is not None
    by_step = {(row["split"], row["step"]): row.get("loss") for row in lines(run.metrics)}
    return result["weights_sha256"], result["metrics"], result["steps"], result["samples"], result["tokens"], by_step


def tally(run: RunDir) -> dict[str, Any]:
    """What the newest checkpoint has counted, without the times and the memory."""
    found = files.read_json(run.complete_checkpoints()[0] / "progress.json")["tally"]
    assert found["seconds"] > found["data_wait"] >= 0
    return {name: found[name] for name in ("samples", "tokens", "filled", "places", "operations", "possible")}


def causal(model: Path, chats: Path) -> tuple[str, ...]:
    return (
        "task=causal_lm",
        f"model.path={model}",
        "data=files",
        f"data.train={chats}",
        "data.messages=messages",
        "trainer.batch_size=8",
        "trainer.steps=12",
        "trainer.log_every=1",
        "trainer.deterministic=true",
    )


@pytest.mark.parametrize(
    "extra",
    [
        pytest.param((), id="dropout and whatever precision this machine has"),
        pytest.param(("trainer.precision=bf16",), id="bf16"),
        pytest.param(("trainer.precision=fp32", "trainer.micro_batch=3"), id="accumulation"),
        pytest.param(("adapter=lora", "adapter.dropout=0.1"), id="LoRA"),
        pytest.param(
            ("adapter=qlora", "adapter.dora=true", "adapter.dropout=0.1", "trainer.precision=bf16"),
            id="weights in 4 bits, and DoRA",
            marks=pytest.mark.slow,
        ),
        pytest.param(("optim=adafactor", "optim.weight_decay=0.1"), id="Adafactor"),
    ],
)
def test_classification_continues_bitwise(train_here: Train, small: tuple[str, ...], extra: tuple[str, ...]) -> None:
    whole = train_here(*small, *extra, "name=whole")
    parts = train_here(*small, *extra, "name=parts", stop_after=2)
    assert parts.read_result() is None
    assert 0 < parts.saved_step < 12
    train_here(*small, *extra, "name=parts", stop_after=parts.saved_step + 2)
    train_here(*small, *extra, "name=parts")
    assert learned(parts) == learned(whole)
    assert [row["cause"] for row in lines(parts.attempts, event="end")] == ["interrupted", "interrupted", "completed"]


def test_paused_on_its_way_it_continues_bitwise(train_here: Train, small: tuple[str, ...]) -> None:
    """With a validation at the pause, and the schedule of the whole length."""
    whole = train_here(*small, "name=whole")
    parts = train_here(*small, "name=parts", "trainer.pause_at=0.3")
    assert (parts.read_result(), parts.saved_step) == (None, 4)
    assert lines(parts.metrics, split="validation", step=4)
    train_here(*small, "name=parts", "trainer.pause_at=0.3")  # nothing is left to do until there
    train_here(*small, "name=parts")
    *same, of_parts = learned(parts)
    *wanted, of_whole = learned(whole)
    assert same == wanted
    assert of_parts.items() - of_whole.items() == {(key, of_parts[key]) for key in [("validation", 4)]}
    ends = lines(parts.attempts, event="end")
    assert [(row["cause"], row["end_step"]) for row in ends] == [("paused", 4), ("paused", 4), ("completed", 12)]
    assert [row["seconds"]["lost"] for row in ends] == [0, 0, 0]


@pytest.mark.parametrize(
    "labels",
    [
        pytest.param(("task=regression", "data.label=[price,stars]"), id="regression"),
        pytest.param(("task=multilabel", "data.label=tags", "data.label_separator=;"), id="multilabel"),
    ],
)
def test_vectors_of_labels_continue_bitwise(
    train_here: Train, small: tuple[str, ...], tmp_path: Path, labels: tuple[str, ...]
) -> None:
    rows = [f'{"train " * (n % 5 + 1)}{n},{n * 1e4},{n % 3},"{";".join("abc"[: n % 4])}"' for n in range(120)]
    (tmp_path / "small.csv").write_text("text,price,stars,tags\n" + "\n".join(rows))
    whole = train_here(*small, *labels, "name=whole")
    parts = train_here(*small, *labels, "name=parts", stop_after=4)
    assert parts.read_result() is None and 0 < parts.saved_step < 12
    train_here(*small, *labels, "name=parts")
    assert learned(parts) == learned(whole)


@pytest.mark.parametrize("adapter", ["none", "lora"])
def test_causal_lm_continues_bitwise(train_here: Train, tiny: Callable[[str], Path], chats: Path, adapter: str) -> None:
    overrides = (*causal(tiny("llama"), chats), f"adapter={adapter}", "trainer.micro_batch=4")
    whole = train_here(*overrides, "name=whole")
    parts = train_here(*overrides, "name=parts", stop_after=4)
    assert parts.read_result() is None
    train_here(*overrides, "name=parts")
    assert learned(parts) == learned(whole)


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.filterwarnings("ignore")  # torch's own, while it compiles
@pytest.mark.skipif(missing_compiler(torch.device("cpu")) is not None, reason="no C++ compiler")
def test_compiled_blocks_continue_bitwise(
    train_here: Train, tiny: Callable[[str], Path], chats: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    overrides = (*causal(tiny("llama"), chats), "trainer.compile=true", "trainer.micro_batch=4")
    whole = train_here(*overrides, "name=whole")
    assert "4 examples at most, blocks compiled" in capsys.readouterr().err
    assert "another kind of batch" not in whole.latest_log.read_text(), "all are compiled before the first step"
    parts = train_here(*overrides, "name=parts", stop_after=4)
    assert parts.read_result() is None
    train_here(*overrides, "name=parts")
    assert learned(parts) == learned(whole)


def test_past_a_damaged_checkpoint_a_run_goes_back_to_the_one_before(train_here: Train, small: tuple[str, ...]) -> None:
    overrides = (*small, "checkpoint.every_steps=2")
    whole = train_here(*overrides, "name=whole")
    parts = train_here(*overrides, "name=parts", stop_after=7)
    damaged, before = parts.complete_checkpoints()[:2]
    with (damaged / "weights.safetensors").open("r+b") as file:
        file.seek(-1, os.SEEK_END)
        file.write(b"\xff")
    train_here(*overrides, "name=parts")
    assert learned(parts) == learned(whole)
    assert f"{damaged} is damaged: weights.safetensors" in parts.latest_log.read_text()
    assert before.name < damaged.name
    assert tally(parts) == tally(whole), "steps that were lost count once"


def test_killed_at_any_moment_the_same_command_continues(
    command: Callable[..., subprocess.Popen[str]], train: Callable[..., Finished], small: tuple[str, ...]
) -> None:
    overrides = (*small, "checkpoint.every_steps=3", "trainer.steps=14")
    process = command(*overrides, "name=killed")
    killed = _kill_at(process, step=8)
    assert killed.returncode == 1
    again = train(*overrides, "name=killed")
    assert again.code == 0
    ends = lines(run_of(again).attempts, event="end")
    assert [row["cause"] for row in ends] == ["crash", "completed"]
    assert ends[0]["message"] == "killed by SIGKILL"
    assert ends[0]["end_step"] >= 8
    # A save that was still being written is lost; 8 steps may be quicker than two saves.
    assert lines(run_of(again).attempts, event="start")[1]["start_step"] in (3, 6, 9, 12)
    whole = train(*overrides, "name=whole", "tracking.sample_seconds=0")
    assert learned(run_of(again)) == learned(run_of(whole))
    assert run_of(again).samples.exists()
    assert not run_of(whole).samples.exists()


def _kill_at(process: subprocess.Popen[str], step: int) -> subprocess.Popen[str]:
    """SIGKILL to the training process, not its launcher, once `step` is in the metrics."""
    child = trainer_of(process)
    run = Path(Path(f"/proc/{child}/cmdline").read_bytes().split(b"\0")[-2].decode())
    while not any(row["step"] >= step for row in files.read_json_lines(run / "metrics.jsonl")):
        time.sleep(0.01)
    os.kill(child, signal.SIGKILL)
    process.communicate(timeout=60)
    return process


def test_other_data_than_at_the_start_are_refused(train_here: Train, small: tuple[str, ...]) -> None:
    train_here(*small, stop_after=2)
    [data] = [Path(word.partition("=")[2]) for word in small if word.startswith("data.train=")]
    data.write_text(data.read_text().replace(" 7,", " seven,"))
    with pytest.raises(DataChanged, match=rf"{data} \(train\) has other content.*rerun=true"):
        train_here(*small)


@pytest.mark.parametrize("extra", [(), ("adapter=lora",)])
def test_another_model_than_at_the_start_is_refused(
    train_here: Train, small: tuple[str, ...], tmp_path: Path, extra: tuple[str, ...]
) -> None:
    model = Path(shutil.copytree(small[-1].removeprefix("model.path="), tmp_path / "model"))
    words = (*small[:-1], f"model.path={model}", *extra)
    train_here(*words, stop_after=2)
    make_model("bert", attention_probs_dropout_prob=0.2).save_pretrained(model)
    with pytest.raises(ModelChanged, match=r"config.json \(configuration\) has other content.*rerun=true"):
        train_here(*words)


def test_the_precision_is_the_first_attempts(train_here: Train, small: tuple[str, ...]) -> None:
    run = train_here(*small, stop_after=2)
    record = json.loads(run.record.read_text())
    assert record["precision"] in ("bf16", "fp32")
    other = {"bf16": "fp32", "fp32": "bf16"}[record["precision"]]
    files.write_json(run.record, record | {"precision": other})
    train_here(*small)
    header = lines(run.attempts, event="end")[-1]
    assert header["cause"] == "completed"
    assert json.loads(run.record.read_text())["precision"] == other
