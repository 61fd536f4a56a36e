"""Metrics of classification are those of scikit-learn."""

from __future__ import annotations

import json

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, f1_score

from passingloop.tasks.classification import accuracy, macro_f1
from passingloop.tasks.task import learning_task


@settings(max_examples=150, deadline=None)
@given(st.integers(1, 5).flatmap(lambda n: st.lists(st.tuples(st.integers(0, n), st.integers(0, n)), min_size=1)))
def test_accuracy_and_f1_are_those_of_scikit_learn(pairs: list[tuple[int, int]]) -> None:
    """Also where a class never occurs, is never predicted, or is all there is."""
    labels, predicted = map(list, zip(*pairs, strict=True))
    logits = torch.nn.functional.one_hot(torch.tensor(predicted), 6).float()
    counts = learning_task("classification").outcome(logits, torch.tensor(labels), None).counts
    assert accuracy(counts) == accuracy_score(labels, predicted)
    assert macro_f1(counts) == pytest.approx(f1_score(labels, predicted, average="macro", zero_division=0), abs=1e-12)


def test_figures_are_not_rounded_to_fp32() -> None:
    counts = torch.tensor([[8], [10], [10]])
    assert json.dumps(accuracy(counts)) == "0.8"
