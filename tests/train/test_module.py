"""The loss is that of plain transformers; packing, accumulation and bf16 change nothing about it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from passingloop.model.adapters.adapters import add_adapter
from tests.train.tiny import ALONE, fine_tuner, layout, lora, make_model, optim, random_ids, write_tokens

LENGTHS = [3, 4, 7, 9, 12, 16]
EVERY = np.arange(len(LENGTHS))
LABELS = [0, 2, 1, 1, 0, 2]


def plain_gradients(model: Any, loss: torch.Tensor) -> dict[str, torch.Tensor]:
    model.zero_grad()
    loss.backward()
    return {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


def test_classification_loss_is_that_of_transformers(tmp_path: Path) -> None:
    model = make_model("bert", "classification", num_labels=3)
    tokens = write_tokens(tmp_path / "t", random_ids(LENGTHS), labels=LABELS)
    (batch,) = layout(tokens, "classification").step(EVERY, ALONE)
    theirs = model(**batch["inputs"], labels=batch["labels"]).loss
    ours = fine_tuner(model, "classification", optim()).training_step(batch)
    torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("kind", ["llama", "gpt2"])
@pytest.mark.parametrize("batch_tokens", [1, 32, 10**6])
def test_packed_and_accumulated_loss_and_gradient_are_those_of_single_texts(
    tmp_path: Path, kind: str, batch_tokens: int
) -> None:
    """Each text by itself through plain transformers, the mean over all predicted tokens of the step."""
    model = make_model(kind)
    tokens = write_tokens(tmp_path / "t", random_ids(LENGTHS))
    predicted = sum(LENGTHS) - len(LENGTHS)
    texts = [torch.from_numpy(tokens.ids(i).astype(np.int64))[None] for i in EVERY]
    theirs = sum(model(input_ids=ids, labels=ids).loss * (ids.numel() - 1) for ids in texts) / predicted
    their_gradients = plain_gradients(model, theirs)

    module = fine_tuner(model, "causal_lm", optim())
    packed = layout(tokens, "causal_lm", row_tokens=24, batch_tokens=batch_tokens).step(EVERY, ALONE)
    assert len(packed) == {1: 3, 32: 3, 10**6: 1}[batch_tokens]
    ours = sum(module.training_step(batch) for batch in packed)
    torch.testing.assert_close(ours, theirs)
    our_gradients = plain_gradients(model, ours)
    assert our_gradients.keys() == their_gradients.keys()
    for name, gradient in our_gradients.items():
        torch.testing.assert_close(gradient, their_gradients[name], rtol=1e-4, atol=1e-6)


def test_chats_learn_from_answers_only(tmp_path: Path) -> None:
    """Whatever stands in the question, and whatever its logits are: its gradient comes through the answer alone."""
    model = make_model("llama")
    ids, answers = random_ids([8, 6]), [[0, 0, 0, 0, 1, 1, 0, 0], [0, 0, 0, 1, 1, 1]]
    tokens = write_tokens(tmp_path / "t", ids, answers=answers)
    (batch,) = layout(tokens, "causal_lm", row_tokens=16).step(np.array([0, 1]), ALONE)
    losses = []
    for example, counted in zip(ids, answers, strict=True):
        logits = model(input_ids=torch.tensor([example])).logits[0, :-1]
        each = F.cross_entropy(logits, torch.tensor(example[1:]), reduction="none")
        losses.append(each[torch.tensor(counted[1:]) == 1])
    torch.testing.assert_close(fine_tuner(model, "causal_lm", optim()).training_step(batch), torch.cat(losses).mean())


def test_class_weights_weigh_the_mean(tmp_path: Path) -> None:
    model = make_model("bert", "classification", num_labels=3)
    weights = torch.tensor([0.2, 1.0, 5.0])
    tokens = write_tokens(tmp_path / "t", random_ids(LENGTHS), labels=LABELS)
    (batch,) = layout(tokens, "classification", statistics=weights).step(EVERY, ALONE)
    theirs = F.cross_entropy(model(**batch["inputs"]).logits, batch["labels"], weight=weights)
    module = fine_tuner(model, "classification", optim(), statistics=weights)
    torch.testing.assert_close(module.training_step(batch), theirs)
    outcome = module.validation_step(batch)
    unweighted = F.cross_entropy(model(**batch["inputs"]).logits, batch["labels"], reduction="none")
    torch.testing.assert_close(outcome.losses, unweighted)
    assert "class_weights" not in module.state_dict()


@pytest.mark.parametrize("task", ["classification", "causal_lm"])
def test_bf16_computes_in_bf16_and_returns_fp32(tmp_path: Path, task: Any) -> None:
    model = make_model("llama", task)
    tokens = write_tokens(tmp_path / "t", random_ids(LENGTHS), labels=[0] * 6 if task == "classification" else None)
    (batch,) = layout(tokens, task).step(EVERY, ALONE)
    computed: set[torch.dtype] = set()
    for layer in model.modules():
        if isinstance(layer, torch.nn.Linear):
            layer.register_forward_hook(lambda _layer, _inputs, output: computed.add(output.dtype))
    exact = fine_tuner(model, task, optim())(batch)
    assert computed == {torch.float32}
    computed.clear()
    module = fine_tuner(model, task, optim(), bf16=True)
    logits = module(batch)
    assert computed == {torch.bfloat16} and logits.dtype == torch.float32
    assert {parameter.dtype for parameter in module.parameters()} == {torch.float32}
    torch.testing.assert_close(logits, exact, rtol=0.1, atol=0.02)
    module.training_step(batch).backward()
    assert {p.grad.dtype for p in module.parameters() if p.grad is not None} == {torch.float32}


def test_norms_and_biases_do_not_decay() -> None:
    module = fine_tuner(make_model("bert", "classification"), "classification", optim(weight_decay=0.3))
    names = {id(parameter): name for name, parameter in module.named_parameters()}
    decaying, others = module.configure_optimizers().param_groups
    assert (decaying["weight_decay"], others["weight_decay"]) == (0.3, 0.0)
    without = {names[id(parameter)] for parameter in others["params"]}
    assert without == {name for name in names.values() if "LayerNorm" in name or name.endswith("bias")}
    assert {names[id(parameter)] for parameter in decaying["params"]} == set(names.values()) - without


def test_tied_weights_are_optimised_once() -> None:
    module = fine_tuner(make_model("gpt2"), "causal_lm", optim())
    trained = [id(p) for group in module.configure_optimizers().param_groups for p in group["params"]]
    assert len(trained) == len(set(trained))
    assert id(module.model.lm_head.weight) in trained
    assert module.model.lm_head.weight is module.model.transformer.wte.weight


def test_frozen_weights_are_not_optimised() -> None:
    module = fine_tuner(add_adapter(make_model("llama"), lora(), 1, new=[], classifies=False), "causal_lm", optim())
    trained = {id(p) for group in module.configure_optimizers().param_groups for p in group["params"]}
    assert trained == {id(p) for name, p in module.named_parameters() if "lora_" in name}


def test_settings_reach_the_optimizer() -> None:
    chosen = optim(lr=2e-5, betas=[0.8, 0.95], eps=1e-6)
    (group, _) = (
        fine_tuner(make_model("bert", "classification"), "classification", chosen).configure_optimizers().param_groups
    )
    assert (group["lr"], group["betas"], group["eps"]) == (2e-5, (0.8, 0.95), 1e-6)
