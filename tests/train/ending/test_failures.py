"""What is written down of an error, and what is said of a loss that is not finite."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lightning.fabric import Fabric

from passingloop.data.examples.tokens import Tokens
from passingloop.data.prepare.mix import MixedTokens
from passingloop.data.rows.places import Pieces
from passingloop.errors import ConfigError
from passingloop.rundir.failure import Failure
from passingloop.tasks.task import Examples
from passingloop.train.ending.failures import failure_of, non_finite_message
from tests.train.tiny import fine_tuner, layout, make_model, optim, write_tokens

FULL = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.\nGPU 0 has …")


@pytest.mark.parametrize(
    ("error", "rows", "failure"),
    [
        (FULL, 4, {"cause": "oom", "memory": "device", "tokens": 40, "message": "in step 8, with 4 rows in a forward"}),
        (FULL, 1, {"cause": "oom", "memory": None, "message": "One row cannot be divided. Lower data.max_length, use"}),
        (FULL, 0, {"cause": "oom", "memory": None, "message": "ran out before the first step: CUDA out of memory."}),
        (MemoryError(), 4, {"cause": "oom", "memory": "host", "message": "ran out in step 8: MemoryError"}),
        (RuntimeError("std::bad_alloc"), 4, {"cause": "oom", "memory": "host", "message": "step 8: std::bad_alloc"}),
        (
            RuntimeError("shapes differ"),
            4,
            {"cause": "crash", "memory": None, "message": "RuntimeError: shapes differ"},
        ),
        (ConfigError("You set x."), 4, {"cause": "crash", "memory": None, "message": "You set x."}),
    ],
)
def test_an_error_becomes_a_failure(error: BaseException, rows: int, failure: dict[str, Any]) -> None:
    written = failure_of(error, step=7, shape=(rows, 10))
    assert isinstance(written, Failure)
    assert written.step == 7
    assert failure.pop("message") in written.message
    assert {name: getattr(written, name) for name in failure} == failure


BAD = 99
"""A token whose embedding is not a number."""


def labelled(folder: Path, ids: list[list[int]]) -> Tokens:
    """Examples of `folder`.csv, each on a line of its own."""
    tokens = write_tokens(folder, ids, labels=[0] * len(ids))
    pieces = Pieces()
    pieces.begin(f"{folder.name}.csv", "line", 2)
    pieces.write(folder)
    return tokens


def message(tokens: Examples, fabric: Fabric, *, weight: str = "word_embeddings") -> str:
    """What is said of a step with all of `tokens`, by a model in which one row of that weight is not a number."""
    module = fine_tuner(make_model("bert", "classification"), "classification", optim())
    name, parameter = next((n, p) for n, p in module.model.named_parameters() if weight in n)
    with torch.no_grad():
        parameter[BAD if "embeddings" in name else 0] = torch.nan
    laid_out = layout(tokens, "classification")
    return non_finite_message(6, float("nan"), 1.5, np.arange(len(tokens)), module, laid_out, fabric)


BEFORE = "Step 7: the loss is nan and the gradient's norm 1.5. The weights are those before it. "


def test_examples_whose_loss_is_not_finite_are_named(tmp_path: Path, fabric: Fabric) -> None:
    tokens = labelled(tmp_path / "faq", [[5, 6], [5, BAD, 6], [7], [BAD]])
    assert message(tokens, fabric) == (
        f"{BEFORE}By themselves these examples have a non-finite loss: faq.csv, lines 3, 5. Look at these."
    )


def test_of_a_mix_they_are_named_source_by_source(tmp_path: Path, fabric: Fabric) -> None:
    parts = {"faq": [[5], [BAD]], "shop": [[BAD], [6]], "good": [[7]]}
    tokens = {name: labelled(tmp_path / name, ids) for name, ids in parts.items()}
    mixed = MixedTokens(tokens, {name: np.arange(1) for name in tokens})
    assert message(mixed, fabric) == (
        f"{BEFORE}By themselves these examples have a non-finite loss: faq: faq.csv, line 3; shop: shop.csv, line 2. "
        "Look at these."
    )


def test_where_no_example_is_the_cause_all_are_named(tmp_path: Path, fabric: Fabric) -> None:
    tokens = labelled(tmp_path / "faq", [[5, 6], [7]])
    assert message(tokens, fabric) == (
        f"{BEFORE}No example has a non-finite loss by itself; the step's are faq.csv, lines 2, 3."
    )


def test_where_every_example_is_the_training_has_diverged(tmp_path: Path, fabric: Fabric) -> None:
    tokens = labelled(tmp_path / "faq", [[5, 6], [7]])
    assert message(tokens, fabric, weight="classifier.bias") == (
        f"{BEFORE}Every example of the step has a non-finite loss: training has diverged. Lower optim.lr, lengthen "
        "optim.warmup, or set trainer.precision=fp32."
    )
