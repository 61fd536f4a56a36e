"""Encoders of which transformers computes the tokens without padding: what it computes with padding."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import torch
import transformers

from passingloop.model.encoders.geometry import unpadded_inputs
from passingloop.model.encoders.unpadded import run_unpadded
from tests.model.encoders.test_flat import CONFIGURATIONS, LENGTHS, SIZES, difference, loss_and_gradients, make_batch

CPU = torch.device("cpu")


def make_model(kind: str) -> Any:
    torch.manual_seed(0)
    makers = CONFIGURATIONS | {"modernbert": transformers.ModernBertConfig}
    extra: dict[str, Any] = {"local_attention": 4, "global_attn_every_n_layers": 2} if kind == "modernbert" else {}
    special = dict.fromkeys(("bos_token_id", "eos_token_id", "cls_token_id", "sep_token_id"), 1)
    configuration = makers[kind](**SIZES | special | extra)
    model: Any = transformers.AutoModelForSequenceClassification.from_config(configuration)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    return model.eval()


@pytest.mark.parametrize("kind", [*CONFIGURATIONS, "modernbert"])
@pytest.mark.parametrize("lengths", [LENGTHS, (7, 7, 7)], ids=["padded", "equal"])
@pytest.mark.parametrize("places", ["from the layout", "from the mask"])
def test_loss_and_gradients_are_those_with_padding(kind: str, lengths: tuple[int, ...], places: str) -> None:
    padded = make_model(kind)
    unpadded = copy.deepcopy(padded)
    assert run_unpadded(unpadded, CPU, bf16=True)
    batch: dict[str, Any] = make_batch(lengths)
    loss, gradients = loss_and_gradients(padded, batch)
    if places == "from the layout":
        batch["flat_places"] = unpadded_inputs(batch["attention_mask"].numpy() != 0)
    ours, found = loss_and_gradients(unpadded, batch)
    assert torch.allclose(ours, loss, rtol=1e-5)
    assert difference(found, gradients) < 1e-4


def test_the_texts_and_the_filling_are_told_to_attention() -> None:
    told = unpadded_inputs(np.array([[True, True, False], [True, True, True]]))
    assert told["bounds"].tolist() == [0, 2, 5, 16]
    assert (told["tokens"], told["longest"]) == (5, 11)


def test_a_gpu_without_bf16_keeps_padding() -> None:
    model = make_model("bert")
    assert not run_unpadded(model, torch.device("cuda"), bf16=False)
    assert "forward" not in vars(model.bert)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_on_a_gpu() -> None:
    model = make_model("bert").cuda()
    assert run_unpadded(model, torch.device("cuda"), bf16=True)
