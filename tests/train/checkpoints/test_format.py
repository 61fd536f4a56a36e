"""What is saved comes back bit by bit; what is damaged is found out, said, and passed over."""

from __future__ import annotations

import dataclasses
import errno
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.fabric import Fabric

from passingloop import files
from passingloop.config.settings import Task
from passingloop.errors import DamagedCheckpoint, NotSaved, OtherVersion
from passingloop.model.adapters.adapter_memory import held
from passingloop.model.adapters.adapters import add_adapter
from passingloop.rundir.directory import RunDir
from passingloop.rundir.fence import Fence
from passingloop.train.checkpoints import format, manifest, tensors
from passingloop.train.checkpoints.format import Progress
from passingloop.train.meters.tally import Tally
from tests.train.tiny import fine_tuner, lora, make_model, optim, random_ids

FILES = ["manifest.json", "optimizer.safetensors", "progress.json", "weights.safetensors"]


class Training:
    """A small model in training, wrapped by Fabric as in a run."""

    def __init__(
        self, fabric: Fabric, kind: str = "gpt2", task: Task = "causal_lm", *, adapter: bool = False, **chosen: Any
    ) -> None:
        model = make_model(kind, task)
        if adapter:
            how = held(chosen.get("quantize", "none"), bf16=False)
            model = add_adapter(model, lora(**chosen), 1, new=[], classifies=task == "classification", held=how)
        self.module = fine_tuner(model, task, optim())
        self.wrapped, self.optimizer = fabric.setup(self.module, self.module.configure_optimizers())

    def step(self, k: int) -> None:
        ids = torch.tensor(random_ids([8, 8], seed=k))
        labels = ids.roll(-1, 1) if self.module.task.causal else torch.tensor([0, 1])
        self.wrapped.training_step({"inputs": {"input_ids": ids}, "labels": labels, "normalizer": 16.0}).backward()
        self.optimizer.step()
        self.optimizer.zero_grad()

    def everything(self) -> dict[str, torch.Tensor]:
        """Copies of all weights and of all that the optimizer keeps."""
        held = {name: tensor.clone() for name, tensor in self.module.state_dict().items()}
        for number, kept in self.optimizer.state_dict()["state"].items():
            held |= {f"{number} {name}": value.clone() for name, value in kept.items()}
        return held

    def save(self, run: RunDir, step: int, keep: int = 2) -> None:
        progress = Progress(step=step, samples=2 * step, tokens=16 * step, train_seconds=step / 10)

        def fill(folder: Path) -> dict[str, Any]:
            state = tensors.optimizer_state(self.module, self.optimizer)
            format.write_tensors(folder, tensors.weights(self.module), state)
            return {}

        format.write(run, progress, fill, Fence(run, 1), keep=keep, keep_best=False)

    def resume(self, run: RunDir) -> tuple[Progress, list[str]]:
        notices: list[str] = []
        path = format.newest_whole(run, notices.append)
        return format.restore(path, self.module, self.optimizer, sharded=False) if path else Progress(), notices


def equal(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


@pytest.fixture
def run(tmp_path: Path) -> RunDir:
    return RunDir(tmp_path / "run")


@pytest.fixture
def begun(run: RunDir, fabric: Fabric) -> dict[int, dict[str, torch.Tensor]]:
    """A run with checkpoints at steps 2 and 4; what it was there."""
    training, states = Training(fabric), {}
    for k in range(4):
        training.step(k)
        if k % 2:
            training.save(run, k + 1)
            states[k + 1] = training.everything()
    return states


# Whole ones


@pytest.mark.parametrize(
    ("kind", "task", "adapter"),
    [
        ("gpt2", "causal_lm", False),
        ("bert", "classification", False),
        ("llama", "causal_lm", True),
        ("bert", "classification", True),
    ],
)
def test_a_resumed_run_goes_on_bitwise(run: RunDir, fabric: Fabric, kind: str, task: Task, adapter: bool) -> None:
    training = Training(fabric, kind, task, adapter=adapter)
    for k in range(3):
        training.step(k)
    training.save(run, 3)
    saved = training.everything()
    training.step(3)

    torch.manual_seed(99)
    again = Training(fabric, kind, task, adapter=adapter)
    with torch.no_grad():
        for parameter in again.module.parameters():
            if parameter.requires_grad:
                parameter.add_(1)
    progress, notices = again.resume(run)
    assert progress == Progress(step=3, samples=6, tokens=48, train_seconds=0.3) and not notices
    assert equal(again.everything(), saved)
    again.step(3)
    assert equal(again.everything(), training.everything())


@pytest.mark.parametrize("chosen", [{"rslora": True}, {"dora": True}, {"quantize": "nf4"}], ids=str)
def test_each_kind_of_adapter_goes_on_bitwise(run: RunDir, fabric: Fabric, chosen: dict[str, Any]) -> None:
    training, again = (Training(fabric, "llama", adapter=True, **chosen) for _ in range(2))
    training.step(0)
    training.save(run, 1)
    again.resume(run)
    for each in (training, again):
        each.step(1)
    assert equal(again.everything(), training.everything())


def test_without_checkpoints_a_run_begins(run: RunDir, fabric: Fabric) -> None:
    training = Training(fabric)
    before = training.everything()
    assert training.resume(run) == (Progress(), [])
    assert equal(training.everything(), before)


def test_the_newest_are_kept(run: RunDir, fabric: Fabric) -> None:
    training = Training(fabric)
    training.step(0)
    for step in (1, 2, 10, 30):
        training.save(run, step, keep=3)
    assert [path.name for path in run.complete_checkpoints()] == ["step-00000030", "step-00000010", "step-00000002"]
    assert sorted(path.name for path in run.checkpoints.iterdir()) == sorted(
        path.name for path in run.complete_checkpoints()
    )
    training.save(run, 31, keep=2)
    assert [path.name for path in run.complete_checkpoints()] == ["step-00000031", "step-00000030"]


def test_a_step_can_be_saved_again(run: RunDir, begun: Any, fabric: Fabric) -> None:
    training = Training(fabric)
    training.step(9)
    training.save(run, 4)
    tensors = training.everything()
    again = Training(fabric)
    assert again.resume(run)[0].step == 4
    assert equal(again.everything(), tensors)


def test_a_step_that_cannot_be_saved_again_stays(
    run: RunDir, begun: Any, fabric: Fabric, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = {path: path.read_bytes() for path in run.checkpoint(2).iterdir()}
    rename = Path.rename  # a stand-in: no file system can be made to take one rename in a folder and not the next

    def full(self: Path, target: Path) -> Path:
        if target == run.checkpoint(2) and self.suffix != ".replaced":
            raise OSError(errno.EDQUOT, "over quota")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", full)
    with pytest.raises(NotSaved):
        Training(fabric).save(run, 2)
    assert {path: path.read_bytes() for path in run.checkpoint(2).iterdir()} == before
    assert not list(run.checkpoints.glob(".*"))


def test_a_checkpoint_is_safetensors_and_json(run: RunDir, begun: Any) -> None:
    for path in run.complete_checkpoints():
        assert sorted(file.name for file in path.iterdir()) == FILES
        for file in path.iterdir():
            head = file.read_bytes()[:9]
            assert file.suffix == ".json" or head[8:] == b"{", (
                file
            )  # length of the header, then JSON: no pickle, no zip
        written = json.loads((path / "manifest.json").read_text())["files"]
        assert sorted(written) == FILES[1:]
        for name, measured in written.items():
            assert measured == {"size": (path / name).stat().st_size, "sha256": files.sha256(path / name)}


def test_tied_weights_are_written_once(run: RunDir, begun: Any) -> None:
    weights = format.load_file(run.complete_checkpoints()[0] / "weights.safetensors")
    assert "model.transformer.wte.weight" in weights and "model.lm_head.weight" not in weights


def test_with_lora_only_the_factors_and_the_head_are_written(run: RunDir, fabric: Fabric) -> None:
    whole, adapted = (
        Training(fabric, "bert", "classification"),
        Training(fabric, "bert", "classification", adapter=True),
    )
    for number, training in enumerate((whole, adapted), start=1):
        training.step(0)
        training.save(RunDir(run.path / str(number)), 1)
    sizes = [sum(file.stat().st_size for file in run.path.glob(f"{n}/checkpoints/*/*.safetensors")) for n in (1, 2)]
    assert sizes[1] < 0.35 * sizes[0]
    names = format.load_file(run.path / "2" / "checkpoints" / "step-00000001" / "weights.safetensors")
    assert all("lora_" in name or "classifier" in name for name in names)


def test_a_checkpoint_of_other_parameters_is_refused(run: RunDir, fabric: Fabric) -> None:
    """An earlier version trained factors where this one trains a whole module, or the model is another one."""
    whole, adapted = (Training(fabric, "bert", "classification", adapter=adapter) for adapter in (False, True))
    whole.step(0)
    whole.save(run, 1)
    with pytest.raises(OtherVersion, match=r"has other weights than are trained now \(.* and \d+ more\)"):
        format.restore(run.complete_checkpoints()[0], adapted.module, adapted.optimizer, sharded=False)


# Damaged ones


def truncate(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-1])


def empty(file: Path) -> None:
    file.write_bytes(b"")


def flip(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


def remove(file: Path) -> None:
    file.unlink()


@pytest.mark.parametrize("damage", [truncate, empty, flip, remove])
@pytest.mark.parametrize("name", FILES)
def test_damage_is_found_and_the_one_before_is_taken(
    run: RunDir, begun: Any, fabric: Fabric, damage: Callable[[Path], None], name: str
) -> None:
    damage(run.checkpoint(4) / name)
    training = Training(fabric)
    progress, notices = training.resume(run)
    if (damage, name) == (truncate, "manifest.json"):  # its last byte is the end of a line
        assert (progress.step, notices) == (4, [])
        return
    assert progress.step == 2
    assert equal(training.everything(), begun[2])
    if (damage, name) == (remove, "manifest.json"):  # as if it had never been
        assert notices == []
        return
    (notice,) = notices
    blamed = "its manifest cannot be read" if name == "manifest.json" else f"{name} is not what was written"
    if (damage, name) != (flip, "manifest.json"):
        assert notice == f"The checkpoint {run.checkpoint(4)} is damaged: {blamed}. Going back to the one before."


def test_any_flipped_bit_of_a_manifest_is_found(run: RunDir, begun: Any) -> None:
    path = run.checkpoint(4)
    file = path / "manifest.json"
    content = file.read_bytes()
    for place in range(len(content)):
        for bit in (1, 4, 32):
            damaged = bytearray(content)
            damaged[place] ^= bit
            file.write_bytes(damaged)
            # Where a name or a number is another now, the files or the version no longer fit; elsewhere it is no JSON.
            with pytest.raises((DamagedCheckpoint, OtherVersion)):
                manifest.verify(path)


@pytest.mark.parametrize(
    "content", ["null", "[]", "3", '{"files": {}}', '{"files": 3}', '{"files": ["x"]}', "{}", "\xff"]
)
def test_garbage_for_a_manifest(run: RunDir, begun: Any, content: str) -> None:
    (run.checkpoint(4) / "manifest.json").write_text(content, encoding="latin-1")
    with pytest.raises(DamagedCheckpoint):
        manifest.verify(run.checkpoint(4))


def test_when_all_are_damaged_the_run_begins_anew_and_says_so(run: RunDir, begun: Any, fabric: Fabric) -> None:
    for path in run.complete_checkpoints():
        flip(path / "weights.safetensors")
    training = Training(fabric)
    before = training.everything()
    progress, notices = training.resume(run)
    assert progress == Progress() and equal(training.everything(), before)
    assert len(notices) == 3 and notices[-1] == "No checkpoint is whole. Starting from the beginning."


def test_a_damaged_checkpoint_does_not_take_the_place_of_a_whole_one(run: RunDir, begun: Any, fabric: Fabric) -> None:
    """After going back from step 4 to 2, step 3 is saved: 2 and 3 must stay, or 3 would have no predecessor."""
    flip(run.checkpoint(4) / "weights.safetensors")
    training = Training(fabric)
    training.resume(run)
    training.step(2)
    training.save(run, 3)
    assert [path.name for path in run.complete_checkpoints()] == ["step-00000003", "step-00000002"]
    assert not run.checkpoint(4).exists()


@pytest.mark.parametrize("name", ["step-00000005", ".step-00000005", "step-5", "step-000000055", "step-0000000x"])
def test_what_has_no_manifest_or_another_name_does_not_exist(
    run: RunDir, begun: Any, fabric: Fabric, name: str
) -> None:
    """As a kill in the middle of a save leaves it."""
    shutil.copytree(run.checkpoint(4), run.checkpoints / name)
    if name == "step-00000005":
        (run.checkpoints / name / "manifest.json").unlink()
    training = Training(fabric)
    assert training.resume(run) == (Progress(4, 8, 64, 0.4), [])
    training.save(run, 5)
    assert [path.name for path in run.complete_checkpoints()] == ["step-00000005", "step-00000004"]
    manifest.verify(run.checkpoint(5))


def test_progress_counts_are_what_a_checkpoint_says(run: RunDir, begun: Any) -> None:
    written = json.loads((run.checkpoint(4) / "progress.json").read_text())
    assert written == dataclasses.asdict(Progress(step=4, samples=8, tokens=64, train_seconds=0.4))
    assert written["validation_loss"] is None


# --- versions ------------------------------------------------------------------------------------------------


def rewrite_progress(path: Path, **content: Any) -> None:
    """Write another ``progress.json``, with its checksum."""
    files.write_json(path / "progress.json", content)
    written = files.read_json(path / "manifest.json")
    written["files"]["progress.json"] = manifest.measure(path / "progress.json")
    files.write_json(path / "manifest.json", written)


def test_a_checkpoint_without_a_tally_is_one_of_an_earlier_version(run: RunDir, begun: Any, fabric: Fabric) -> None:
    path = run.checkpoint(4)
    before = files.read_json(path / "progress.json")
    assert before.pop("tally") == dataclasses.asdict(Tally())
    rewrite_progress(path, **before)
    assert Training(fabric).resume(run) == (Progress(4, 8, 64, 0.4), [])


@pytest.mark.parametrize("tally", [{"speed": 1.0}, {"operations": {"most": 1.0}}, None, 5])
def test_a_damaged_tally_is_a_damaged_checkpoint(run: RunDir, begun: Any, fabric: Fabric, tally: Any) -> None:
    path = run.checkpoint(4)
    rewrite_progress(path, **files.read_json(path / "progress.json") | {"tally": tally})
    _, [notice] = Training(fabric).resume(run)
    assert "is damaged" in notice


def test_a_manifest_without_a_version_is_one_of_the_first(run: RunDir, begun: Any) -> None:
    path = run.checkpoint(4) / "manifest.json"
    content = files.read_json(path)
    assert content.pop("version") == 1
    files.write_json(path, content)
    manifest.verify(path.parent)


def test_a_checkpoint_of_another_version_is_refused(run: RunDir, begun: Any, fabric: Fabric) -> None:
    """Nor does an attempt go back to the one before, of its own version: the newer one would be lost."""
    path = run.checkpoint(4)
    files.write_json(path / "manifest.json", files.read_json(path / "manifest.json") | {"version": 2})
    with pytest.raises(OtherVersion) as refused:
        Training(fabric).resume(run)
    assert str(refused.value) == (
        f"The checkpoint {path} has format version 2, but this passingloop reads version 1. Use the version of "
        "passingloop that wrote it, or remove it to continue from the one before."
    )


def test_progress_with_an_unknown_name_is_not_restored(run: RunDir, begun: Any, fabric: Fabric) -> None:
    path = run.checkpoint(4)
    rewrite_progress(path, **files.read_json(path / "progress.json") | {"epochs": 3})
    progress, [notice] = Training(fabric).resume(run)
    assert progress.step == 2
    assert notice == (f"The checkpoint {path} is damaged: progress.json has epochs. Going back to the one before.")
