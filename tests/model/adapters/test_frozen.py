"""How frozen weights are held: what is lost by it, and what is not."""

from __future__ import annotations

import sys
from typing import Any

import pytest
import torch
from transformers.pytorch_utils import Conv1D

from passingloop.errors import MissingError
from passingloop.model.adapters.frozen import FourBitLinear, check_quantizer, hold_in_bf16, matrix, restored
from tests.train.tiny import lora

NF4 = [
    *(-1.0, -0.6961928, -0.5250731, -0.39491749, -0.28444138, -0.18477343, -0.09105004, 0.0),
    *(0.0795803, 0.1609302, 0.2461123, 0.33791524, 0.44070983, 0.562617, 0.72295684, 1.0),
]
"""The numbers of NormalFloat (arXiv:2305.14314, appendix E)."""


def layer(kind: str, rows: int = 96, columns: int = 160) -> Any:
    """A layer from `columns` inputs to `rows` outputs."""
    torch.manual_seed(0)
    made = Conv1D(rows, columns) if kind == "Conv1D" else torch.nn.Linear(columns, rows)
    torch.nn.init.normal_(made.weight)
    return made.requires_grad_(False)


@pytest.mark.parametrize("columns", [160, 64, 33], ids=lambda columns: f"rows of {columns}")
@pytest.mark.parametrize("kind", ["Linear", "Conv1D"])
def test_four_bits_are_the_nearest_numbers_of_nf4(kind: str, columns: int) -> None:
    """With rows that are no whole number of blocks, a kernel may take the wrong scale."""
    plain = layer(kind, 128, columns)
    held = FourBitLinear(plain, torch.device("cpu"))
    blocks, found = plain.weight.detach().reshape(-1, 64), held.weight.reshape(-1, 64)
    largest = blocks.abs().amax(1, keepdim=True)
    table = torch.tensor(NF4)
    nearest = table[(blocks / largest).unsqueeze(-1).sub(table).abs().argmin(-1)]
    scales = found.abs().amax(1, keepdim=True)
    torch.testing.assert_close(found / scales, nearest)
    torch.testing.assert_close(scales, largest, rtol=0.02, atol=0)  # these are in 8 bits
    assert held.packed.numel() * 2 == blocks.numel() and held.scales.numel() * 64 == blocks.numel()
    assert not any(parameter.requires_grad for parameter in held.parameters())


@pytest.mark.parametrize("kind", ["Linear", "Conv1D"])
@pytest.mark.parametrize("bits", [4, 16])
def test_it_is_restored_as_it_computed(kind: str, bits: int) -> None:
    plain = layer(kind)
    with torch.no_grad():
        plain.weight.copy_(plain.weight.bfloat16())
    held = plain
    if bits == 4:
        held = FourBitLinear(plain, torch.device("cpu"))
    else:
        hold_in_bf16(held)
        assert held.weight.dtype == torch.bfloat16
    back = restored(held)
    assert type(back) is type(plain) and back.weight.dtype == torch.float32 and back.weight.shape == plain.weight.shape
    rows = torch.randn(5, 160)
    torch.testing.assert_close(back(rows), rows @ matrix(held, torch.float32).t() + plain.bias)


def test_weights_that_bf16_does_not_hold_stay_in_fp32() -> None:
    plain = layer("Linear")
    hold_in_bf16(plain)
    assert plain.weight.dtype == torch.float32


def test_without_bitsandbytes_the_message_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    check_quantizer(lora(quantize="nf4"))
    monkeypatch.setitem(sys.modules, "bitsandbytes", None)  # as if it were not there
    check_quantizer(lora())
    check_quantizer(lora(kind="none", quantize="auto"))
    with pytest.raises(MissingError, match=r"adapter.quantize=auto needs bitsandbytes.*passingloop\[qlora\]"):
        check_quantizer(lora(quantize="auto"))
