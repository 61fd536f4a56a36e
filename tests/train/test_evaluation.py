"""Metrics agree with scikit-learn and with their definitions, however the part is cut into batches."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from lightning.fabric import Fabric
from sklearn.metrics import accuracy_score, f1_score

from passingloop.train.evaluation import evaluate
from tests.train.tiny import ALONE, fine_tuner, layout, make_model, optim, random_ids, write_tokens

LENGTHS = [2, 3, 5, 5, 8, 9, 13, 16]


def test_classification(tmp_path: Path, fabric: Fabric) -> None:
    labels = [0, 1, 2, 0, 1, 2, 0, 0]
    tokens = write_tokens(tmp_path / "t", random_ids(LENGTHS), labels=labels)
    module = fine_tuner(make_model("bert", "classification", num_labels=3), "classification", optim())
    singly = [
        module.model(input_ids=torch.from_numpy(tokens.ids(i).astype(np.int64))[None]).logits[0] for i in range(8)
    ]
    predicted = [int(logits.argmax()) for logits in singly]
    found = evaluate(module, layout(tokens, "classification"), fabric, ALONE, ["a", "b", "c"])
    assert found["accuracy"] == accuracy_score(labels, predicted)
    assert found["macro_f1"] == pytest.approx(f1_score(labels, predicted, average="macro", zero_division=0))
    losses = torch.nn.functional.cross_entropy(torch.stack(singly), torch.tensor(labels))
    assert found["loss"] == pytest.approx(float(losses.detach()), rel=1e-6)
    assert set(found) == {"loss", "accuracy", "macro_f1"}


@pytest.mark.parametrize("row_tokens", [None, 16])
def test_perplexity_is_over_all_tokens_of_the_part(tmp_path: Path, fabric: Fabric, row_tokens: int | None) -> None:
    tokens = write_tokens(tmp_path / "t", random_ids(LENGTHS))
    module = fine_tuner(make_model("llama"), "causal_lm", optim())
    total = 0.0
    for i in range(8):
        ids = torch.from_numpy(tokens.ids(i).astype(np.int64))[None]
        total += float(module.model(input_ids=ids, labels=ids).loss.detach()) * (ids.numel() - 1)
    found = evaluate(module, layout(tokens, "causal_lm", row_tokens=row_tokens), fabric, ALONE, [])
    mean = total / (sum(LENGTHS) - 8)
    assert found == {"loss": pytest.approx(mean, rel=1e-6), "perplexity": pytest.approx(math.exp(mean), rel=1e-5)}


def test_a_hopeless_loss_has_a_perplexity_that_json_can_hold(tmp_path: Path, fabric: Fabric) -> None:
    model = make_model("llama")
    with torch.no_grad():
        model.lm_head.weight.mul_(1e9)
    tokens = write_tokens(tmp_path / "t", random_ids(LENGTHS))
    found = evaluate(fine_tuner(model, "causal_lm", optim()), layout(tokens, "causal_lm"), fabric, ALONE, [])
    assert math.isfinite(found["perplexity"]) and found["loss"] > 700


@pytest.mark.parametrize("task", ["classification", "causal_lm"])
def test_batches_do_not_matter(tmp_path: Path, fabric: Fabric, task: str) -> None:
    labels = [i % 2 for i in range(8)] if task == "classification" else None
    tokens = write_tokens(tmp_path / "t", random_ids(LENGTHS), labels=labels)
    module = fine_tuner(make_model("llama", task), task, optim())
    divisions = [{}, {"batch_tokens": 1}, {"batch_tokens": 32}, {"batch_examples": 3}]
    if task == "causal_lm":
        divisions += [{"row_tokens": 16}, {"row_tokens": 40, "batch_tokens": 1}]
    results = [evaluate(module, layout(tokens, task, **chosen), fabric, ALONE, []) for chosen in divisions]
    for result in results[1:]:
        assert result == pytest.approx(results[0], rel=1e-6)


def test_dropout_is_off_and_then_on_again(tmp_path: Path, fabric: Fabric) -> None:
    tokens = write_tokens(tmp_path / "t", random_ids(LENGTHS), labels=[0, 1] * 4)
    module = fine_tuner(
        make_model("bert", "classification", hidden_dropout_prob=0.5), "classification", optim()
    ).train()
    first, second = (evaluate(module, layout(tokens, "classification"), fabric, ALONE, []) for _ in range(2))
    assert first == second
    assert module.training and module.model.training
