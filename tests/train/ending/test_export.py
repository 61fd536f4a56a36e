"""What is exported is the trained model, for `from_pretrained` and nothing else."""

from __future__ import annotations

import json
import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file

from passingloop.config.settings import Task
from passingloop.data.source import CHAT
from passingloop.errors import NotSaved, Superseded
from passingloop.files import read_json, write_json
from passingloop.model import pretrained
from passingloop.model.adapters.adapters import add_adapter, exported_bytes
from passingloop.model.weights import Head, load_model
from passingloop.tasks.task import learning_task
from passingloop.train.ending.export import check_file_size, export, weights_sha256
from tests.tasks.templates import KINDS
from tests.tasks.templates import make_tokenizer as template_tokenizer
from tests.train.tiny import lora, make_model, make_tokenizer, model_config, random_ids

IDS = torch.tensor(random_ids([9, 9]))
NAMES = ["late", "on time", "ünknown"]
AUTOS = {
    "classification": transformers.AutoModelForSequenceClassification,
    "causal_lm": transformers.AutoModelForCausalLM,
}


@pytest.fixture(scope="session")
def trained(saved: Callable[..., Path], tokenizer: Any) -> Callable[..., Any]:
    """A model as a run has it at its end; every trained weight differs from where it began."""
    folders: dict[str, Path] = {}

    def make(kind: str, task: Task, adapter: bool) -> Any:
        folder = folders.setdefault(kind, saved(kind))
        config = model_config(folder)
        head = Head(learning_task(task).auto, learning_task(task).head(NAMES), is_pretrained=task == "causal_lm")
        origin = pretrained.find_origin(config)
        loaded = load_model(origin, config, pretrained.load_settings(origin, config), head, tokenizer, 1)
        chosen = lora(kind="lora" if adapter else "none")
        model = add_adapter(loaded.model, chosen, 1, new=loaded.new, classifies=task == "classification")
        torch.manual_seed(2)
        with torch.no_grad():
            for parameter in model.parameters():
                if parameter.requires_grad:
                    parameter.add_(torch.randn_like(parameter), alpha=0.1)
        return model.eval()

    return make


@pytest.mark.parametrize("adapter", [False, True])
@pytest.mark.parametrize(
    ("kind", "task"),
    [("bert", "classification"), ("gpt2", "classification"), ("llama", "causal_lm"), ("gpt2", "causal_lm")],
)
def test_it_loads_and_says_the_same(
    trained: Callable[..., Any], tokenizer: Any, tmp_path: Path, kind: str, task: Task, adapter: bool
) -> None:
    model = trained(kind, task, adapter)
    logits = model(input_ids=IDS).logits
    export(model, tokenizer, tmp_path / "export")
    loaded = AUTOS[task].from_pretrained(tmp_path / "export").eval()
    assert loaded.dtype == torch.float32
    tolerance = {"rtol": 1e-4, "atol": 1e-5} if adapter else {"rtol": 0, "atol": 0}
    torch.testing.assert_close(loaded(input_ids=IDS).logits, logits, **tolerance)
    if task == "classification":
        assert loaded.config.id2label == dict(enumerate(NAMES))
        assert loaded.config.label2id == {name: i for i, name in enumerate(NAMES)}
    words = transformers.AutoTokenizer.from_pretrained(tmp_path / "export")
    assert words("the train")["input_ids"] == tokenizer("the train")["input_ids"]
    assert words.chat_template == tokenizer.chat_template
    assert not any("lora" in name for name in load_file(tmp_path / "export" / "model.safetensors"))


def test_the_tokenizer_is_the_same_whatever_it_was_used_for(
    trained: Callable[..., Any], tokenizer: Any, tmp_path: Path
) -> None:
    """Calls leave truncation and padding in it; with tokens from the cache there are no calls."""
    exports: list[dict[str, bytes]] = []
    for use in ({}, {"truncation": True, "max_length": 7, "padding": "max_length"}, {"padding": "longest"}):
        tokenizer(["the train"], **use)
        tokenizer.init_kwargs["local_files_only"] = bool(exports)
        export(trained("gpt2", "causal_lm", False), tokenizer, tmp_path / str(len(exports)))
        files = sorted((tmp_path / str(len(exports))).glob("*token*"))
        exports.append({path.name: path.read_bytes() for path in files})
    assert exports[0].keys() >= {"tokenizer.json", "tokenizer_config.json"}
    assert exports[1] == exports[0] == exports[2]


def test_lora_factors_are_kept_by_themselves(trained: Callable[..., Any], tokenizer: Any, tmp_path: Path) -> None:
    import peft

    model = trained("llama", "causal_lm", True)
    logits = model(input_ids=IDS).logits
    export(model, tokenizer, tmp_path / "export")
    base = make_model("llama")
    with pytest.warns(FutureWarning, match="is_gradient_checkpointing"):  # PEFT's, from transformers
        loaded = peft.PeftModel.from_pretrained(base, tmp_path / "export" / "adapter").eval()
    torch.testing.assert_close(loaded(input_ids=IDS).logits, logits)


@pytest.mark.parametrize("kind", ["llama", "gpt2"])
@pytest.mark.parametrize("dora", [False, True])
def test_what_was_trained_beside_weights_in_4_bits_is_exported_as_it_was_measured(
    tokenizer: Any, tmp_path: Path, kind: str, dora: bool
) -> None:
    model = add_adapter(make_model(kind), lora(dora=dora), 1, new=[], classifies=False, held="nf4").eval()
    torch.manual_seed(2)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(torch.randn_like(parameter), alpha=0.1)
    logits = model(input_ids=IDS).logits
    needed = exported_bytes(model, merge=True)
    export(model, tokenizer, tmp_path / "export")
    loaded = AUTOS["causal_lm"].from_pretrained(tmp_path / "export").eval()
    assert loaded.dtype == torch.float32
    torch.testing.assert_close(loaded(input_ids=IDS).logits, logits, rtol=1e-4, atol=1e-5)
    assert sum(tensor.nbytes for tensor in load_file(tmp_path / "export" / "model.safetensors").values()) == needed


def test_without_merging_the_factors_alone_are_exported(
    trained: Callable[..., Any], saved: Callable[..., Path], tokenizer: Any, tmp_path: Path
) -> None:
    model = trained("llama", "causal_lm", True)
    logits = model(input_ids=IDS).logits
    needed = exported_bytes(model, merge=False)
    export(model, tokenizer, tmp_path / "export", merge=False)
    loaded = AUTOS["causal_lm"].from_pretrained(tmp_path / "export").eval()
    torch.testing.assert_close(loaded(input_ids=IDS).logits, logits)
    factors = load_file(tmp_path / "export" / "adapter_model.safetensors")
    assert sum(tensor.nbytes for tensor in factors.values()) == needed
    assert not (tmp_path / "export" / "config.json").exists(), "it would be taken for a whole model"


def test_without_an_adapter_there_is_nothing_to_merge(
    trained: Callable[..., Any], tokenizer: Any, tmp_path: Path
) -> None:
    export(trained("llama", "causal_lm", False), tokenizer, tmp_path / "export", merge=False)
    assert (tmp_path / "export" / "model.safetensors").exists()


def test_lora_factors_name_the_commit_they_belong_to(
    trained: Callable[..., Any], tokenizer: Any, tmp_path: Path
) -> None:
    export(trained("llama", "causal_lm", True), tokenizer, tmp_path / "export", commit="0123abc")
    assert json.loads((tmp_path / "export" / "adapter" / "adapter_config.json").read_text())["revision"] == "0123abc"


def test_without_an_adapter_there_is_no_such_folder(
    trained: Callable[..., Any], tokenizer: Any, tmp_path: Path
) -> None:
    export(trained("llama", "causal_lm", False), tokenizer, tmp_path / "export")
    assert not (tmp_path / "export" / "adapter").exists()


def test_an_old_export_and_a_broken_off_one_are_replaced(
    trained: Callable[..., Any], tokenizer: Any, tmp_path: Path
) -> None:
    for name in ("export", ".export.attempt-1", ".export.attempt-2"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "model-00001-of-00002.safetensors").write_text("left behind")
    export(trained("llama", "causal_lm", False), tokenizer, tmp_path / "export")
    assert [path.name for path in tmp_path.iterdir()] == ["export"]
    assert not list((tmp_path / "export").glob("model-*"))


def test_an_attempt_that_is_fenced_out_leaves_the_export_of_another(
    trained: Callable[..., Any], tokenizer: Any, tmp_path: Path
) -> None:
    def fence() -> None:
        raise Superseded("A newer attempt has started.")

    export(trained("llama", "causal_lm", False), tokenizer, tmp_path / "export", attempt=2)
    before = (tmp_path / "export" / "config.json").stat().st_ino
    with pytest.raises(Superseded):
        export(trained("llama", "causal_lm", False), tokenizer, tmp_path / "export", check=fence)
    assert (tmp_path / "export" / "config.json").stat().st_ino == before


# The digest


def tensors() -> dict[str, torch.Tensor]:
    return {"b": torch.arange(6.0).reshape(2, 3), "a": torch.ones(4, dtype=torch.bfloat16)}


def digest(folder: Path, **files: dict[str, torch.Tensor]) -> str:
    folder.mkdir()
    for name, content in files.items():
        save_file(content, folder / f"{name}.safetensors")
    return weights_sha256(folder)


def test_the_digest_is_that_of_the_tensors(tmp_path: Path) -> None:
    """However they are spread over files, and whatever else stands beside them."""
    content = tensors()
    whole = digest(tmp_path / "whole", model=content)
    assert whole == digest(tmp_path / "again", model=dict(reversed(content.items())))
    assert whole == digest(tmp_path / "shards", one={"a": content["a"]}, two={"b": content["b"]})
    (tmp_path / "whole" / "config.json").write_text("{}")
    assert weights_sha256(tmp_path / "whole") == whole
    assert whole == "5a4914be1ef91d4c7221afde071372c32a140a37fea04ea5acd2bec28ba02bdf"  # what results are compared by


@pytest.mark.parametrize("change", ["value", "sign of zero", "shape", "type", "name", "missing"])
def test_any_change_changes_the_digest(tmp_path: Path, change: str) -> None:
    content = tensors()
    match change:
        case "value":
            content["b"][1, 2] = torch.nextafter(content["b"][1, 2], torch.tensor(9.0))
        case "sign of zero":
            content["b"][0, 0] = -0.0
        case "shape":
            content["b"] = content["b"].reshape(3, 2)
        case "type":
            content["a"] = content["a"].view(torch.float16)
        case "name":
            content["c"] = content.pop("b")
        case "missing":
            del content["a"]
    assert digest(tmp_path / "one", model=tensors()) != digest(tmp_path / "other", model=content)


def test_the_digest_of_an_export_repeats_itself(trained: Callable[..., Any], tokenizer: Any, tmp_path: Path) -> None:
    for name in ("one", "two"):
        export(trained("gpt2", "causal_lm", True), tokenizer, tmp_path / name)
    assert weights_sha256(tmp_path / "one") == weights_sha256(tmp_path / "two")


@contextmanager
def file_size_limit(size: int) -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_limit_on_the_size_of_files_is_a_sentence(tmp_path: Path) -> None:
    with (
        file_size_limit(20_000),
        pytest.raises(NotSaved, match=r"its export cannot be written: .*File too large.*`ulimit -f` shows"),
    ):
        export(make_model("bert"), make_tokenizer(), tmp_path / "export")
    assert not (tmp_path / "export").exists()


@pytest.mark.parametrize("lora", [False, True])
def test_the_limit_is_known_before_training(
    trained: Callable[..., Any], tokenizer: Any, tmp_path: Path, lora: bool
) -> None:
    model = trained("llama", "causal_lm", lora)
    check_file_size(model)
    export(trained("llama", "causal_lm", lora), tokenizer, tmp_path / "export")
    size = sum(tensor.nbytes for tensor in load_file(tmp_path / "export" / "model.safetensors").values())
    with file_size_limit(size):
        check_file_size(model)
    with file_size_limit(size - 1), pytest.raises(NotSaved, match=r"need a file of \d.* MB, and no file may be larger"):
        check_file_size(model)


def test_generation_stops_where_answers_end_and_samples_as_before(
    trained: Callable[..., Any], tokenizer: Any, tmp_path: Path
) -> None:
    model = trained("llama", "causal_lm", False)
    settings = {"do_sample": False, "temperature": 0.6, "eos_token_id": 1}  # inconsistent, as published ones are
    write_json(tmp_path / "generation_config.json", settings)
    model.generation_config = transformers.GenerationConfig.from_pretrained(tmp_path)
    export(model, tokenizer, tmp_path / "export", {2, 1})
    found = read_json(tmp_path / "export" / "generation_config.json")
    assert {name: found[name] for name in settings} == settings | {"eos_token_id": [1, 2]}


@pytest.mark.parametrize("name", KINDS)
def test_generation_from_the_export_gives_the_answer_and_stops(name: str, tmp_path: Path) -> None:
    """For each kind of chat template a model learns one chat by heart."""
    kind = KINDS[name]
    words = template_tokenizer(kind.template)
    chat = json.dumps({"messages": kind.messages} | kind.beside)
    learned = learning_task("causal_lm").encoder(words, 512)(pa.record_batch([[0], [chat]], schema=CHAT))
    assert learned.answers is not None
    settings = {"vocab_size": len(words), "max_position_embeddings": 512, "eos_token_id": words.eos_token_id}
    model = make_model("llama", **settings, num_hidden_layers=1).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-2, fused=True)
    ids, answers = torch.tensor(learned.ids[-1])[None], torch.tensor(learned.answers[-1])[None]
    for _ in range(200):
        loss = model(input_ids=ids, labels=torch.where(answers == 1, ids, -100)).loss
        if loss < 0.05:
            break
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    export(model, words, tmp_path / "export", learned.ends)

    words = transformers.AutoTokenizer.from_pretrained(tmp_path / "export")
    model = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "export")
    if kind.prompted:
        prompt = words.apply_chat_template(
            kind.before_answer, add_generation_prompt=True, return_tensors="pt", return_dict=True, **kind.variables
        )
    else:  # the generation prompt begins reasoning, which the answer lacks
        prompt = words(kind.prompt, add_special_tokens=False, return_tensors="pt")
    generated = model.generate(**prompt, max_new_tokens=100, pad_token_id=words.pad_token_id)[0]
    assert words.decode(generated[prompt["input_ids"].shape[1] :]) == kind.answer
