"""LoRA factors: what they change, and what they depend on."""

from __future__ import annotations

import pytest
import torch
import transformers

from passingloop.model.adapters import add_adapter
from tests.train.tiny import lora, make_model, random_ids


@pytest.mark.parametrize("kind", ["gpt2", "llama", "bert"])
def test_lora_changes_nothing_before_the_first_step_and_depends_on_the_seed(kind: str) -> None:
    def factors(seed: int) -> dict[str, torch.Tensor]:
        model = add_adapter(make_model(kind, "classification"), lora(), seed, new_head=True)
        return {name: p.detach() for name, p in model.named_parameters() if p.requires_grad}

    plain, adapted = make_model(kind, "classification"), make_model(kind, "classification")
    torch.manual_seed(5)
    adapted = add_adapter(adapted, lora(), 1, new_head=True).eval()
    ids = torch.tensor(random_ids([9, 9]))
    torch.testing.assert_close(adapted(input_ids=ids).logits, plain(input_ids=ids).logits)
    one, same, other = factors(1), factors(1), factors(2)
    assert any("lora_A" in name for name in one) and any("score" in n or "classifier" in n for n in one)
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert not all(torch.equal(one[name], other[name]) for name in one)


def test_without_an_adapter_the_model_is_itself() -> None:
    model = make_model("llama")
    assert add_adapter(model, lora(kind="none"), 1, new_head=False) is model
    assert isinstance(model, transformers.PreTrainedModel)
