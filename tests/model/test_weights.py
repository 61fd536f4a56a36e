"""Weights are those of the checkpoint, whatever its names look like; what is not is new, or refused, and said."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file

from passingloop.errors import ConfigError
from passingloop.model import pretrained
from tests.train.tiny import load, make_model, make_tokenizer, model_config

CLASSES = ["class 0", "class 1", "class 2"]


def test_weights_are_fp32_whatever_the_folder_says(tmp_path: Path, tokenizer: Any) -> None:
    make_model("llama").to(torch.bfloat16).save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    assert json.loads((tmp_path / "config.json").read_text())["dtype"] == "bfloat16"
    model = load(model_config(tmp_path)).model
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}


def test_a_new_head_depends_on_the_seed_and_on_nothing_else(llama: Path) -> None:
    def head(seed: int, before: int) -> torch.Tensor:
        torch.manual_seed(before)
        torch.rand(before)
        return load(model_config(llama), CLASSES, seed=seed).model.score.weight

    assert torch.equal(head(1, before=5), head(1, before=77))
    assert not torch.equal(head(1, before=5), head(2, before=5))


def test_pretrained_weights_do_not_depend_on_the_seed(minilm: Path) -> None:
    one, other = (load(model_config(minilm), CLASSES, seed=seed).model.state_dict() for seed in (1, 2))
    assert {name for name in one if not torch.equal(one[name], other[name])} == {"classifier.weight"}


def test_labels_and_padding_are_in_the_configuration(llama: Path) -> None:
    settings = load(model_config(llama), CLASSES).model.config
    assert settings.id2label == {0: "class 0", 1: "class 1", 2: "class 2"}
    assert settings.label2id == {"class 0": 0, "class 1": 1, "class 2": 2}
    assert settings.pad_token_id == 0 and settings.problem_type == "single_label_classification"


def test_a_classifier_for_other_classes_gets_a_new_head(saved: Callable[..., Path]) -> None:
    folder = saved("bert", task="classification", num_labels=5)
    five, three = (load(model_config(folder), names).model for names in ([*CLASSES, "class 3", "class 4"], CLASSES))
    assert three.classifier.weight.shape == (3, 32)
    assert torch.equal(three.bert.embeddings.word_embeddings.weight, five.bert.embeddings.word_embeddings.weight)
    assert torch.equal(five.classifier.weight, make_model("bert", "classification", num_labels=5).classifier.weight)


@pytest.mark.parametrize(
    ("kind", "names"),
    [
        ("bert", ["hidden_dropout_prob", "attention_probs_dropout_prob"]),
        ("gpt2", ["resid_pdrop", "embd_pdrop", "attn_pdrop"]),
        ("llama", ["attention_dropout"]),
    ],
)
def test_dropout(saved: Callable[..., Path], kind: str, names: list[str]) -> None:
    folder = saved(kind)
    model = load(model_config(folder, dropout=0.37), CLASSES).model
    assert [getattr(model.config, name) for name in names] == [0.37] * len(names)
    assert {layer.p for layer in model.modules() if isinstance(layer, torch.nn.Dropout)} <= {0.37}
    untouched = load(model_config(folder), CLASSES).model.config
    assert [getattr(untouched, name) for name in names] == [getattr(make_model(kind).config, name) for name in names]


def store(folder: Path, change: Callable[[str, torch.Tensor], dict[str, torch.Tensor]]) -> None:
    """Change how the weights in `folder` are stored, matrices only; config.json stays without a word of it."""
    weights = load_file(folder / "model.safetensors")
    stored = [change(name, tensor) if tensor.dim() == 2 else {name: tensor} for name, tensor in weights.items()]
    save_file({name: tensor for part in stored for name, tensor in part.items()}, folder / "model.safetensors")


@pytest.mark.parametrize(
    "change",
    [
        lambda name, tensor: {name: (tensor * 500).to(torch.int8)},
        lambda name, tensor: {name: (tensor * 50).to(torch.float8_e4m3fn), f"{name}_scale_inv": torch.tensor(0.02)},
        lambda name, tensor: {name: tensor * 50, f"{name}_scale": torch.tensor(0.02)},
    ],
)
@pytest.mark.parametrize(("kind", "names"), [("bert", CLASSES), ("llama", []), ("llama", CLASSES)])
def test_quantised_weights_are_refused_if_config_json_does_not_say_so(
    saved: Callable[..., Path], change: Any, kind: str, names: list[str]
) -> None:
    folder = saved(kind)
    store(folder, change)
    with pytest.raises(ConfigError, match="its weights are quantised, and cannot be trained"):
        load(model_config(folder), names)


def test_weights_in_eight_bits_are_loaded_if_they_have_no_scale(saved: Callable[..., Path]) -> None:
    folder = saved("llama")
    store(folder, lambda name, tensor: {name: tensor.to(torch.float8_e4m3fn)})
    loaded = load(model_config(folder)).model.model.layers[0].mlp.up_proj.weight
    expected = make_model("llama").model.layers[0].mlp.up_proj.weight
    assert torch.equal(loaded, expected.to(torch.float8_e4m3fn).float())


# Names


def rename(folder: Path, change: Callable[[str], str | None]) -> None:
    """Change the names of the weights in `folder`, or leave out those whose new name is None."""
    weights = load_file(folder / "model.safetensors")
    renamed = {change(name): tensor for name, tensor in weights.items()}
    save_file({name: renamed[name] for name in renamed if name}, folder / "model.safetensors", {"format": "pt"})


def wrap_layers(name: str) -> str:
    return "_orig_mod." + name.replace("layers.0.", "layers.0._orig_mod.").replace("layers.1.", "layers.1._orig_mod.")


@pytest.mark.parametrize("prefix", ["_orig_mod.", "module.", "model.", "_orig_mod.module.", "net.backbone."])
@pytest.mark.parametrize(("kind", "auto"), [("bert", "AutoModelForMaskedLM"), ("llama", "AutoModelForCausalLM")])
def test_a_prefix_of_all_names_is_taken_off(
    saved: Callable[..., Path], kind: str, auto: str, prefix: str, tmp_path: Path
) -> None:
    folder, expected = saved(kind, auto=auto), make_model(kind, auto=auto).state_dict()
    rename(folder, lambda name: prefix + name)
    for names in (CLASSES, []):
        loaded = load(model_config(folder), names)
        weights = loaded.model.state_dict()
        body = [name for name in weights if name in expected]
        assert len(body) > 10 and all(torch.equal(weights[name], expected[name]) for name in body)
        if (kind, prefix) != ("llama", "model."):  # which transformers takes off by itself
            assert loaded.facts["names"] == f"{prefix} is taken off the names in the checkpoint"
        loaded.model.save_pretrained(tmp_path / "again")
        assert not any(name.startswith(prefix * 2) for name in load_file(tmp_path / "again" / "model.safetensors"))
        assert load_file(tmp_path / "again" / "model.safetensors").keys() <= weights.keys()


def test_wrappers_in_the_middle_of_names_are_taken_off(saved: Callable[..., Path]) -> None:
    folder, expected = saved("llama"), make_model("llama").state_dict()
    rename(folder, wrap_layers)
    weights = load(model_config(folder)).model.state_dict()
    assert all(torch.equal(weights[name], expected[name]) for name in expected)


def test_a_prefix_that_hides_only_the_head(saved: Callable[..., Path]) -> None:
    """transformers takes ``model.`` off the names of Llama's body by itself; its head would be new."""
    folder = saved("llama", task="classification", num_labels=3, id2label=dict(enumerate(CLASSES)))
    rename(folder, lambda name: f"model.{name}")
    loaded = load(model_config(folder), CLASSES)
    assert all(loaded.kept) and not loaded.new
    expected = make_model("llama", "classification", num_labels=3).score.weight
    assert torch.equal(loaded.model.score.weight, expected)


# Parts


@pytest.mark.parametrize(
    ("kind", "new"),
    [
        ("bert", ["bert.pooler", "classifier"]),
        ("roberta", ["classifier"]),
        ("distilbert", ["classifier", "pre_classifier"]),
        ("deberta-v2", ["classifier", "pooler"]),
        ("albert", ["albert.pooler", "classifier"]),
    ],
)
def test_new_parts_are_named(saved: Callable[..., Path], kind: str, new: list[str]) -> None:
    loaded = load(model_config(saved(kind, auto="AutoModelForMaskedLM")), CLASSES)
    assert sorted(loaded.new) == new and not any(loaded.kept)
    assert all(name in loaded.facts["new"] for name in new) and " and 2 more" in loaded.facts["unused"]


@pytest.mark.parametrize(
    "lost", ["layers.1.mlp", "embed_tokens", "layers", "model.norm", "layers.0.self_attn.q_proj.weight"]
)
@pytest.mark.parametrize("names", [[], CLASSES])
def test_a_body_without_its_weights_is_refused(saved: Callable[..., Path], lost: str, names: list[str]) -> None:
    folder = saved("llama")
    rename(folder, lambda name: None if lost in name else name)
    with pytest.raises(ConfigError, match=r"would stay random: it lacks model\.") as error:
        load(model_config(folder), names)
    assert "\n" not in str(error.value)


def test_layers_that_the_configuration_does_not_have_are_said(saved: Callable[..., Path]) -> None:
    folder = saved("llama")
    settings = json.loads((folder / "config.json").read_text()) | {"num_hidden_layers": 1}
    (folder / "config.json").write_text(json.dumps(settings))
    assert "in the checkpoint: model.layers.1." in load(model_config(folder)).facts["unused"]
    settings |= {"num_hidden_layers": 3}
    (folder / "config.json").write_text(json.dumps(settings))
    with pytest.raises(ConfigError, match=r"lacks model\.layers\.2\."):
        load(model_config(folder))


def test_a_language_model_needs_its_head(saved: Callable[..., Path]) -> None:
    folder = saved("llama", task="classification")
    with pytest.raises(ConfigError, match=r"no pretrained head over the vocabulary: it lacks lm_head\.weight"):
        load(model_config(folder))


def test_the_decoder_of_an_encoder_decoder(saved: Callable[..., Path]) -> None:
    """Its embedding has the name of the one that it shares with the encoder."""
    whole = make_model("bart", auto="AutoModelForSeq2SeqLM")
    loaded = load(model_config(saved("bart", auto="AutoModelForSeq2SeqLM")))
    assert loaded.facts["encoder"].startswith("left out") and "model.encoder." in loaded.facts["unused"]
    for name, parameter in loaded.model.model.decoder.named_parameters():
        assert torch.equal(parameter, whole.model.decoder.get_parameter(name)), name
    assert torch.equal(loaded.model.lm_head.weight, whole.model.shared.weight)


def test_an_adapter_is_no_model(llama: Path, saved: Callable[..., Path]) -> None:
    import peft

    folder = saved("llama")
    chosen = peft.LoraConfig(task_type="CAUSAL_LM", target_modules=["q_proj"])
    with pytest.warns(FutureWarning, match="is_gradient_checkpointing"):  # PEFT's, from transformers
        adapted = peft.get_peft_model(transformers.AutoModelForCausalLM.from_pretrained(llama), chosen)
    adapted.save_pretrained(folder)
    with pytest.raises(ConfigError, match="has an adapter besides the model"):
        load(model_config(folder))


# Padding


@pytest.mark.parametrize("own", [None, 0, 1])
@pytest.mark.parametrize("pad", ["<pad>", "<eos>", None])
@pytest.mark.parametrize("names", [[], CLASSES])
def test_the_end_token_learns_whatever_pads(
    saved: Callable[..., Path], own: int | None, pad: str | None, names: list[str]
) -> None:
    folder = saved("llama", pad_token_id=own)
    tokenizer = make_tokenizer()
    tokenizer.pad_token = pad
    tokenizer.save_pretrained(folder)
    model = load(model_config(folder), names).model
    model(input_ids=torch.tensor([[5, 1, 7, 9]])).logits.sum().backward()
    assert model.get_input_embeddings().weight.grad[1].abs().sum() > 0
    if names:  # the head looks for the last token that does not pad
        used = pretrained.load_tokenizer(pretrained.find_origin(model_config(folder)), model_config(folder))
        assert model.config.pad_token_id == used.pad_token_id
        alone, padded = torch.tensor([[5, 7, 9]]), torch.tensor([[5, 7, 9, used.pad_token_id, used.pad_token_id]])
        masked = model(input_ids=padded, attention_mask=torch.tensor([[1, 1, 1, 0, 0]])).logits
        torch.testing.assert_close(masked, model(input_ids=alone).logits)


def test_positions_are_counted_from_the_padding_token_of_the_checkpoint(
    saved: Callable[..., Path], tmp_path: Path
) -> None:
    folder = saved("roberta", auto="AutoModelForMaskedLM", pad_token_id=1)
    pretrained_model = make_model("roberta", auto="AutoModelForMaskedLM", pad_token_id=1)
    model = load(model_config(folder), CLASSES).model
    ids = torch.tensor([[5, 7, 9]])
    torch.testing.assert_close(model.roberta(ids)[0], pretrained_model.roberta(ids)[0])
    model.save_pretrained(tmp_path)
    exported: Any = transformers.AutoModelForSequenceClassification.from_pretrained(tmp_path)
    torch.testing.assert_close(exported(ids).logits, model(ids).logits)
