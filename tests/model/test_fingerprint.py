"""The fingerprint of a model in a folder changes with every file that is read of it, and with nothing else."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import pytest

from passingloop.model.fingerprint import folder_fingerprint, hub_fingerprint, pinned_commit


@pytest.fixture
def folder(llama: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(llama, tmp_path / "model"))


def taken(folder: Path, *, code: bool = False) -> dict[str, dict[str, str]]:
    fingerprint = folder_fingerprint(folder, folder.parent / "cache", code=code)
    return {kind: dict(files) for kind, files in fingerprint.items()}


def test_it_has_the_digest_of_each_file(folder: Path) -> None:
    before = taken(folder)
    assert before.keys() == {"weights", "configuration", "tokenizer", "chat template"}
    digest = hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()
    assert before["weights"] == {"model.safetensors": digest}


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("model.safetensors", "weights"),
        ("config.json", "configuration"),
        ("tokenizer.json", "tokenizer"),
        ("tokenizer_config.json", "tokenizer"),
        ("added_tokens.json", "tokenizer"),
        ("spiece.model", "tokenizer"),
        ("chat_template.jinja", "chat template"),
        ("adapter_model.safetensors", "adapter"),
    ],
)
def test_other_content_is_noticed(folder: Path, name: str, kind: str) -> None:
    before = taken(folder)
    with (folder / name).open("ab") as file:
        file.write(b" ")
    after = taken(folder)
    assert after.pop(kind) != before.pop(kind, None)
    assert after == before


@pytest.mark.parametrize("name", ["README.md", "optimizer.pt", "pytorch_model.bin", "modeling.py"])
def test_files_that_are_not_read_do_not_count(folder: Path, name: str) -> None:
    before = taken(folder)
    (folder / name).write_text("new")
    assert taken(folder) == before


def test_code_counts_if_it_is_run(folder: Path) -> None:
    (folder / "modeling.py").write_text("x = 1")
    assert taken(folder, code=True)["code"].keys() == {"modeling.py"}


def test_every_shard_counts(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "a.safetensors")
    (folder / "b.safetensors").write_bytes(b"b")
    index = {"weight_map": {"x": "a.safetensors", "y": "b.safetensors", "z": "b.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    assert taken(folder)["weights"].keys() == {"a.safetensors", "b.safetensors", "model.safetensors.index.json"}


def test_a_model_of_the_hub_has_a_commit(folder: Path) -> None:
    assert pinned_commit(hub_fingerprint("some/model", "0123abc")) == "0123abc"
    assert pinned_commit(taken(folder)) is None
    assert pinned_commit(None) is None
