"""How the frozen weights beside LoRA factors are held: in fp32, in bf16 where that loses nothing, or in 4 bits."""

from __future__ import annotations

import logging
from importlib.util import find_spec
from typing import Any, Literal

import torch
from torch import Tensor, nn
from transformers.pytorch_utils import Conv1D

from passingloop.config.settings import AdapterConfig
from passingloop.errors import MissingError

Held = Literal["fp32", "bf16", "nf4"]

INSTALL = "pip install 'passingloop[qlora]'"

LAYERS = (nn.Linear, Conv1D)
"""The layers whose weights are held in other ways. Subclasses may compute otherwise, and stay as they are."""

BLOCK = 64
"""Weights that share a scale, and NESTED_BLOCK scales that share one of theirs, as in QLoRA (arXiv:2305.14314)."""
NESTED_BLOCK = 256

FOUR_BITS = 0.5 + 1 / BLOCK + 4 / (BLOCK * NESTED_BLOCK)
"""Bytes of a weight in 4 bits, with its share of the scales (8 bits) and of their scales (fp32)."""


def check_quantizer(config: AdapterConfig) -> None:
    """
    Raises:
        MissingError: weights are to be quantised, and bitsandbytes, which does that, is not installed.
    """
    if config.kind == "lora" and config.quantize != "none" and find_spec("bitsandbytes") is None:
        raise MissingError(
            f"adapter.quantize={config.quantize} needs bitsandbytes. Install it: {INSTALL}. Or set "
            "adapter.quantize=none."
        )


class FourBitLinear(nn.Module):
    """The frozen weight of a linear layer in 4 bits (NF4 with doubly quantised scales, arXiv:2305.14314), and its bias.

    bitsandbytes' kernels do the work; unlike its own layer, this one is made of plain frozen parameters, which FSDP
    shards and DDP copies like any others.

    Args:
        layer: a torch.nn.Linear or transformers' Conv1D with its weight in fp32.
        device: where it is quantised, and then is: on a CPU that takes 40 ns a weight.
    """

    kind: type[nn.Module]
    shape: torch.Size
    bias: nn.Parameter | None

    def __init__(self, layer: nn.Module, device: torch.device) -> None:
        super().__init__()
        weight: Any = layer.weight
        packed, state = _bitsandbytes().quantize_4bit(
            weight.detach().to(device).reshape(_rows(weight.numel())),
            blocksize=BLOCK,
            compress_statistics=True,
            quant_type="nf4",
        )
        self.kind, self.shape = type(layer), weight.shape
        self.packed = _frozen(packed)
        self.scales = _frozen(state.absmax)
        self.offset = _frozen(state.offset.reshape(1))
        self.nested_scales = _frozen(state.state2.absmax)
        self.bias = layer.bias  # type: ignore[assignment]

    def dequantized(self, dtype: torch.dtype) -> Tensor:
        """The weight as the layer computes with it, in its own shape."""
        quantizer = _bitsandbytes()
        scales = quantizer.dequantize_blockwise(self.scales, absmax=self.nested_scales, blocksize=NESTED_BLOCK)
        state = quantizer.QuantState(
            absmax=scales + self.offset,
            shape=_rows(self.shape.numel()),
            dtype=dtype,
            blocksize=BLOCK,
            quant_type="nf4",
        )
        weight: Tensor = quantizer.dequantize_4bit(self.packed, state).view(self.shape)
        return weight

    @property
    def weight(self) -> Tensor:
        """The weight in fp32."""
        return self.dequantized(torch.float32)


def hold_in_bf16(layer: nn.Module) -> None:
    """Hold the weight of `layer` in bf16 if that changes none of its numbers: it comes from a checkpoint in bf16.

    A layer that computes in bf16 has the same results, without making a copy of its weight in each pass.
    """
    weight: Any = layer.weight
    half = weight.detach().bfloat16()
    if torch.equal(half.float(), weight):
        layer.weight = _frozen(half)


def packed_away(model: nn.Module) -> int:
    """How many more weights `model` has than its parameters have elements, as those in 4 bits are packed."""
    packed = [layer for layer in model.modules() if isinstance(layer, FourBitLinear)]
    elements = sum(p.numel() for layer in packed for p in layer.parameters() if p is not layer.bias)
    return sum(layer.shape.numel() for layer in packed) - elements


def matrix(layer: nn.Module, dtype: torch.dtype) -> Tensor:
    """The weight of `layer`, which is held in whatever way, as a matrix (outputs, inputs) of `dtype`."""
    if isinstance(layer, FourBitLinear):
        weight = layer.dequantized(dtype)
        return weight.t() if layer.kind is Conv1D else weight
    weight = layer.weight.detach().to(dtype)  # type: ignore[operator]
    return weight.t() if isinstance(layer, Conv1D) else weight


def restored(layer: Any) -> Any:
    """`layer` as it came, with its weight in fp32 and on the CPU: what it has computed with, also in 4 bits."""
    weight = layer.weight.detach().float().cpu()
    kind = layer.kind if isinstance(layer, FourBitLinear) else type(layer)
    rows, columns = weight.shape
    with torch.device("meta"):  # without drawing weights
        new = Conv1D(columns, rows) if kind is Conv1D else nn.Linear(columns, rows)
    new.weight, new.bias = _frozen(weight), layer.bias if layer.bias is None else _frozen(layer.bias.detach().cpu())
    return new


def _rows(count: int) -> tuple[int, ...]:
    """The shape in which a weight is quantised: rows of a block each, or one row.

    bitsandbytes' kernel for CPUs goes by rows: with rows of 96 weights, say, release 0.50 takes the scales of other
    blocks; with rows of a block it is 3 × as fast as with those of a matrix.
    """
    return (count // BLOCK, BLOCK) if count % BLOCK == 0 else (count,)


def _frozen(tensor: Tensor) -> nn.Parameter:
    return nn.Parameter(tensor, requires_grad=False)


def quiet_quantizer() -> None:
    """Keep bitsandbytes, which PEFT imports where it is installed, from asking for a kernel that is not used here."""
    logging.getLogger("bitsandbytes.backends.cpu.ops").setLevel(logging.ERROR)


def _bitsandbytes() -> Any:
    from bitsandbytes import functional  # takes seconds; only for weights in 4 bits

    return functional
