"""LoRA trains low-rank factors, and whole modules only where their weights are new."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import transformers

from passingloop.model.adapters.adapters import add_adapter
from passingloop.train.ending.export import export
from tests.train.tiny import load, lora, make_model, make_tokenizer, model_config, random_ids


@pytest.mark.parametrize("kind", ["gpt2", "llama", "bert"])
def test_lora_changes_nothing_before_the_first_step_and_depends_on_the_seed(kind: str) -> None:
    def factors(seed: int) -> dict[str, torch.Tensor]:
        model = add_adapter(make_model(kind, "classification"), lora(), seed, new=[], classifies=True)
        return {name: p.detach() for name, p in model.named_parameters() if p.requires_grad}

    plain, adapted = make_model(kind, "classification"), make_model(kind, "classification")
    torch.manual_seed(5)
    adapted = add_adapter(adapted, lora(), 1, new=[], classifies=True).eval()
    ids = torch.tensor(random_ids([9, 9]))
    torch.testing.assert_close(adapted(input_ids=ids).logits, plain(input_ids=ids).logits)
    one, same, other = factors(1), factors(1), factors(2)
    assert any("lora_A" in name for name in one) and any("score" in n or "classifier" in n for n in one)
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert not all(torch.equal(one[name], other[name]) for name in one)


def test_without_an_adapter_the_model_is_itself() -> None:
    model = make_model("llama")
    assert add_adapter(model, lora(kind="none"), 1, new=[], classifies=False) is model
    assert isinstance(model, transformers.PreTrainedModel)


def test_all_factors_of_a_recurrent_model_learn() -> None:
    """It reads the weights of some layers past their factors, which would never change."""
    model = add_adapter(make_model("mamba"), lora(), 1, new=[], classifies=False)
    ids = torch.tensor(random_ids([9, 9]))
    model(input_ids=ids, labels=ids).loss.backward()
    factors = {name: p for name, p in model.named_parameters() if "lora_B" in name}
    assert {name.split(".")[-4] for name in factors} == {"in_proj", "x_proj"}
    assert all(p.grad is not None and p.grad.any() for p in factors.values())


@pytest.mark.parametrize(
    ("kind", "auto", "whole", "factors"),
    [
        ("bert", "AutoModelForMaskedLM", ["bert.pooler", "classifier"], 12),
        ("roberta", "AutoModelForMaskedLM", ["classifier"], 12),
        ("distilbert", "AutoModelForMaskedLM", ["classifier", "pre_classifier"], 12),
        ("deberta-v2", "AutoModelForMaskedLM", ["classifier", "pooler"], 16),
        ("albert", "AutoModelForMaskedLM", ["albert.pooler", "classifier"], 7),
        ("xlnet", "AutoModelForCausalLM", ["logits_proj", "sequence_summary"], 4),
        ("bert", "AutoModelForSequenceClassification", ["classifier"], 13),
        ("distilbert", "AutoModelForSequenceClassification", ["classifier", "pre_classifier"], 12),
    ],
)
def test_new_modules_are_trained_whole_and_exported(
    saved: Callable[..., Path], tmp_path: Path, kind: str, auto: str, whole: list[str], factors: int
) -> None:
    import peft

    folder = saved(kind, auto=auto)
    loaded = load(model_config(folder), ["a", "b"])
    model = add_adapter(loaded.model, lora(), 1, new=loaded.new, classifies=True).eval()
    trained = {name.removeprefix("base_model.model."): p for name, p in model.named_parameters() if p.requires_grad}
    modules = {name.partition(".modules_to_save.")[0] for name in trained if "lora_" not in name}
    assert sorted(modules) == whole
    assert sum("lora_A" in name for name in trained) == factors
    torch.manual_seed(2)
    with torch.no_grad():
        for parameter in trained.values():
            parameter.add_(torch.randn_like(parameter), alpha=0.1)
    ids = torch.tensor(random_ids([9, 9]))
    logits = model(input_ids=ids).logits
    export(model, make_tokenizer(), tmp_path)
    exported = transformers.AutoModelForSequenceClassification.from_pretrained(tmp_path).eval()
    torch.testing.assert_close(exported(input_ids=ids).logits, logits, rtol=1e-3, atol=1e-4)
    base = load(model_config(folder), ["a", "b"]).model
    with pytest.warns(FutureWarning, match="is_gradient_checkpointing"):  # PEFT's, from transformers
        adapted = peft.PeftModel.from_pretrained(base, tmp_path / "adapter").eval()
    torch.testing.assert_close(adapted(input_ids=ids).logits, logits)
