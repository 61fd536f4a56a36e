"""Linear layers with LoRA factors as one operation: fewer passes over activations, and fewer of them kept, than PEFT.

PEFT computes the layer and its factors one after another. With autocast each of these makes its own copy of the input
in bf16 and keeps it for the backward pass; the frozen weight is copied to bf16 in each pass, and that copy is kept as
well; scaling and sum are passes over the whole output. Here the input is copied once, no weight is kept, and the
product of the factors is added within its matrix product. What is computed is the same.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from peft.tuners import lora
from torch import Tensor, nn
from transformers.pytorch_utils import Conv1D

from passingloop.model.adapters.frozen import LAYERS, FourBitLinear, matrix


class FactoredLinear(lora.Linear):  # type: ignore[misc]  # PEFT is not typed
    """PEFT's layer with another way to compute it. Parameters, merging and files are PEFT's.

    With DoRA (arXiv:2402.09353) and dropout, the dropout is on the input of the factors alone, as without DoRA; PEFT
    drops out part of the layer's own input as well.
    """

    def __init__(self, base_layer: nn.Module, adapter_name: str, config: Any, **kwargs: Any) -> None:
        transposed = isinstance(base_layer, Conv1D)
        config.fan_in_fan_out = transposed
        super().__init__(base_layer, adapter_name, config=config, is_target_conv_1d_layer=transposed, **kwargs)

    def forward(self, x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        """Shape (…, inputs) to (…, outputs)."""
        if self.disable_adapters or self.merged or type(self.base_layer) not in (*LAYERS, FourBitLinear):
            result: Tensor = super().forward(x, *args, **kwargs)
            return result
        [name] = self.active_adapters
        kind = x.device.type
        x = x.to(torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else x.dtype)
        dropout = self.lora_dropout[name]
        dropped = None if isinstance(dropout, nn.Identity) or not self.training else dropout(x)
        magnitude = self.lora_magnitude_vector[name].weight if name in self.lora_magnitude_vector else None
        bias = self.base_layer.bias
        y: Tensor = _Product.apply(  # type: ignore[no-untyped-call]
            x,
            dropped,
            self.lora_A[name].weight.to(x.dtype),
            self.lora_B[name].weight.to(x.dtype),
            magnitude,
            None if bias is None else bias.to(x.dtype),
            self.base_layer,
            self.scaling[name],
        )
        return y

    @torch.no_grad()
    def start_from_held_weight(self) -> None:
        """With DoRA: begin with the magnitudes of the weight as it is held now, so that the layer computes the same."""
        for vector in self.lora_magnitude_vector.values():
            vector.weight.copy_(torch.linalg.vector_norm(matrix(self.base_layer, torch.float32), dim=1))


class _Product(torch.autograd.Function):
    """y = x Wᵀ + s x̃ Aᵀ Bᵀ + b, where x̃ is x after dropout. W and b are frozen.

    With magnitudes m, y without b is scaled by m / ‖W + s B A‖. The norm is that of each row, and a constant for the
    gradient (arXiv:2402.09353, section 4.3).
    """

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        dropped: Tensor | None,
        down: Tensor,
        up: Tensor,
        magnitude: Tensor | None,
        bias: Tensor | None,
        layer: nn.Module,
        scaling: float,
    ) -> Tensor:
        with torch.autocast(x.device.type, enabled=False):  # all is in one type already
            weight = matrix(layer, x.dtype)
            factored = (x if dropped is None else dropped).reshape(-1, x.shape[-1])
            inner = (factored @ down.t()).mul_(scaling)
            y = F.linear(x.reshape(-1, x.shape[-1]), weight, bias if magnitude is None else None)
            y.addmm_(inner, up.t())
            product = norms = None
            if magnitude is not None:
                product, norms = y, _row_norms(weight, down, up, scaling)
                y = _scaled(product, magnitude / norms)
                if bias is not None:
                    y += bias
        ctx.save_for_backward(factored, inner, down, up, magnitude, product, norms)
        ctx.layer, ctx.scaling, ctx.shape, ctx.apart = layer, scaling, x.shape, dropped is not None
        return y.view(*x.shape[:-1], -1)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        factored, inner, down, up, magnitude, product, norms = ctx.saved_tensors
        gradient = gradient.reshape(-1, gradient.shape[-1])
        of_magnitude = None
        if magnitude is not None:
            of_magnitude = (gradient.float() * product).sum(0) / norms
            gradient = _scaled(gradient, magnitude / norms)
        of_inner = (gradient @ up).mul_(ctx.scaling)
        of_x = of_dropped = None
        if ctx.needs_input_grad[0]:
            of_x = gradient @ matrix(ctx.layer, gradient.dtype)
            if not ctx.apart:
                of_x.addmm_(of_inner, down)
            of_x = of_x.view(ctx.shape)
        if ctx.apart and ctx.needs_input_grad[1]:
            of_dropped = (of_inner @ down).view(ctx.shape)
        return of_x, of_dropped, of_inner.t() @ factored, gradient.t() @ inner, of_magnitude, None, None, None


def _row_norms(weight: Tensor, down: Tensor, up: Tensor, scaling: float) -> Tensor:
    """The norms in fp32 of the rows of W + s B A, without making that matrix: ‖W‖² + 2 s B·(W Aᵀ) + s² B·(B A Aᵀ)."""
    across, outer = (weight @ down.t()).float(), up.float()
    inner = down.float() @ down.float().t()
    squares: Tensor = torch.linalg.vector_norm(weight, dim=1, dtype=torch.float32).square()
    squares += (outer * (2 * scaling * across + scaling**2 * (outer @ inner))).sum(1)
    return squares.clamp_(min=torch.finfo(torch.float32).tiny).sqrt_()


def _scaled(rows: Tensor, factor: Tensor) -> Tensor:
    """`rows` with each column multiplied by its `factor`, which is in fp32, and rounded once."""
    scaled: Tensor = torch.mul(rows, factor, out=torch.empty_like(rows))
    return scaled
