"""One layer of a BERT-like encoder on a CPU, with a backward pass of its own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from passingloop.model.encoders.geometry import Geometry

aten = torch.ops.aten


@dataclass(frozen=True, slots=True)
class Shape:
    """What of a layer does not change."""

    heads: int
    eps: float
    """Of both layer norms."""


@dataclass(frozen=True, slots=True)
class Factors:
    """Dropout of a layer: what attention's probabilities, (b · heads, w, w), and the outputs of attention and of the
    feed-forward part, (t, h) each, are multiplied by. None: 1."""

    attention: Tensor | None
    attended: Tensor | None
    fed: Tensor | None


@dataclass(frozen=True, slots=True)
class Texts:
    """The texts of a batch."""

    geometry: Geometry
    bias: Tensor | None
    """As `Geometry.bias` gives it, once for all layers."""


class Layer(torch.autograd.Function):
    """Hidden states (t, h), fp32, through attention and feed-forward, each with residual connection and layer norm.

    Matrix products have the type of `weights`, sums and norms are fp32.
    """

    @staticmethod
    def forward(
        ctx: Any,
        hidden: Tensor,
        shape: Shape,
        texts: Texts,
        factors: Factors,
        copies: tuple[Tensor, ...],
        *parameters: Tensor,
    ) -> Tensor:
        """Args:
        copies: weights and biases of the four products (attention's in, (3h, h), and out, feed-forward's in and
            out), in the type of the products.
        parameters: the parameters themselves: weight and bias of query, key, value, attention's out; weight and
            bias of its norm; weight and bias of feed-forward's in and out; weight and bias of its norm.
        """
        w_in, b_in, w_out, b_out, w_up, b_up, w_down, b_down = copies
        norm, norm_bias, last, last_bias = *parameters[8:10], *parameters[14:16]
        width, kind, geometry = hidden.shape[1:], w_in.dtype, texts.geometry
        x = hidden.to(kind)
        q, k, v = _split(torch.addmm(b_in, x, w_in.t()), geometry, shape.heads)
        probabilities = _softmax(torch.bmm(q, k.transpose(1, 2)), texts, q.shape[-1] ** -0.5)
        kept = _times(probabilities, factors.attention).to(kind)
        attended = _join(torch.bmm(kept, v), geometry)
        first = _add(hidden, torch.addmm(b_out, attended, w_out.t()).float(), factors.attended)
        middle, mean, scale = aten.native_layer_norm(first, width, norm, norm_bias, shape.eps)
        m = middle.to(kind)
        up = torch.addmm(b_up, m, w_up.t())
        fed = torch.nn.functional.gelu(up)
        second = _add(middle, torch.addmm(b_down, fed, w_down.t()).float(), factors.fed)
        result, last_mean, last_scale = aten.native_layer_norm(second, width, last, last_bias, shape.eps)
        ctx.geometry, ctx.factors, ctx.copies = geometry, factors, copies
        ctx.save_for_backward(
            x, q, k, v, probabilities, kept, attended, first, mean, scale, m, up, fed, second, last_mean, last_scale,
            norm, norm_bias, last, last_bias,
        )  # fmt: skip
        return result  # type: ignore[no-any-return]

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        (
            x, q, k, v, probabilities, kept, attended, first, mean, scale, m, up, fed, second, last_mean, last_scale,
            norm, norm_bias, last, last_bias,
        ) = ctx.saved_tensors  # fmt: skip
        w_in, _, w_out, _, w_up, _, w_down, _ = ctx.copies
        geometry, factors, kind, width = ctx.geometry, ctx.factors, w_in.dtype, first.shape[1:]
        every = [True, True, True]

        d_second, d_last, d_last_bias = aten.native_layer_norm_backward(
            gradient, second, width, last_mean, last_scale, last, last_bias, every
        )
        d_down = _times(d_second, factors.fed).to(kind)
        d_up = aten.gelu_backward(d_down @ w_down, up)
        d_middle = d_second + d_up @ w_up
        d_first, d_norm, d_norm_bias = aten.native_layer_norm_backward(
            d_middle, first, width, mean, scale, norm, norm_bias, every
        )
        d_out = _times(d_first, factors.attended).to(kind)
        d_attended = _rows(d_out @ w_out, geometry, q.shape)
        d_kept = torch.bmm(d_attended, v.transpose(1, 2)).float()
        d_probabilities = _times(d_kept, factors.attention)
        d_scores = aten._softmax_backward_data(d_probabilities, probabilities, -1, torch.float32)
        d_scores = d_scores.mul_(q.shape[-1] ** -0.5).to(kind)
        d_qkv = torch.empty((3, *q.shape), dtype=kind)
        torch.bmm(d_scores, k, out=d_qkv[0])
        torch.bmm(d_scores.transpose(1, 2), q, out=d_qkv[1])
        torch.bmm(kept.transpose(1, 2), d_attended, out=d_qkv[2])
        d_in = _unsplit(d_qkv, geometry)
        d_hidden = d_first + d_in @ w_in

        d_w_in, d_b_in = (d_in.t() @ x).chunk(3), d_in.sum(0).chunk(3)
        return (
            d_hidden, None, None, None, None,
            d_w_in[0], d_b_in[0], d_w_in[1], d_b_in[1], d_w_in[2], d_b_in[2],
            d_out.t() @ attended, d_out.sum(0), d_norm, d_norm_bias,
            d_up.t() @ m, d_up.sum(0), d_down.t() @ fed, d_down.sum(0), d_last, d_last_bias,
        )  # fmt: skip


def _times(values: Tensor, factors: Tensor | None) -> Tensor:
    return values if factors is None else values * factors


def _add(residual: Tensor, values: Tensor, factors: Tensor | None) -> Tensor:
    return residual + values if factors is None else torch.addcmul(residual, values, factors)


def _softmax(scores: Tensor, texts: Texts, scale: float) -> Tensor:
    """The probabilities, fp32, of scores (b · heads, w, w)."""
    scores = scores.float()
    if texts.bias is None:
        return (scores * scale).softmax(-1)
    by_row = scores.view(texts.geometry.rows, -1, *scores.shape[1:])
    return torch.add(texts.bias, by_row, alpha=scale).view_as(scores).softmax(-1)


def _split(qkv: Tensor, geometry: Geometry, heads: int) -> Tensor:
    """Query, key and value of the flat tokens, (t, 3h), as (3, b · heads, w, h / heads)."""
    padded = geometry.to_padded(qkv).view(geometry.rows, geometry.width, 3, heads, -1)
    return padded.permute(2, 0, 3, 1, 4).reshape(3, geometry.rows * heads, geometry.width, -1)


def _unsplit(qkv: Tensor, geometry: Geometry) -> Tensor:
    """The inverse of `_split`."""
    by_row = qkv.view(3, geometry.rows, -1, *qkv.shape[2:])
    return geometry.to_flat(by_row.permute(1, 3, 0, 2, 4).reshape(geometry.rows * geometry.width, -1))


def _join(attended: Tensor, geometry: Geometry) -> Tensor:
    """What the heads give, (b · heads, w, h / heads), as (t, h)."""
    by_row = attended.view(geometry.rows, -1, *attended.shape[1:])
    return geometry.to_flat(by_row.transpose(1, 2).reshape(geometry.rows * geometry.width, -1))


def _rows(hidden: Tensor, geometry: Geometry, shape: torch.Size) -> Tensor:
    """The inverse of `_join`."""
    padded = geometry.to_padded(hidden).view(geometry.rows, geometry.width, -1, shape[-1])
    return padded.transpose(1, 2).reshape(shape)
