"""One layer of a BERT-like encoder on a CPU, with a backward pass of its own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import gelu, linear

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
    """Dropout of a layer: what attention's probabilities, (b · heads, s, w), and the outputs of attention and of the
    feed-forward part, (t, h) each, are multiplied by. None: 1.

    Of a `Layer` s is w; of a `LastLayer` s is 1, and t is b."""

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
        w_in, b_in, *others = copies
        x = hidden.to(w_in.dtype)
        q, k, v = _split(linear(x, w_in, b_in), texts.geometry, shape.heads, 3)
        probabilities, kept, mixed = _attend(q, k, v, texts, factors.attention)
        attended = _join(mixed, texts.geometry)
        result, saved = _finish(hidden, attended, shape, factors, others, parameters)
        ctx.geometry, ctx.factors, ctx.copies = texts.geometry, factors, copies
        ctx.save_for_backward(x, q, k, v, probabilities, kept, *saved)
        return result

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        x, q, k, v, probabilities, kept, *saved = ctx.saved_tensors
        w_in, _, *others = ctx.copies
        d_first, d_attended, gradients = _unfinish(gradient, ctx.factors, others, saved)
        d_qkv = torch.empty((3, *q.shape), dtype=x.dtype)
        d_mixed = _rows(d_attended, ctx.geometry, q.shape)
        _unattend(d_mixed, q, k, v, probabilities, kept, ctx.factors.attention, *d_qkv)
        d_in = _unsplit(d_qkv, ctx.geometry)
        d_hidden = d_first + d_in @ w_in
        return d_hidden, None, None, None, None, *_of_parts(d_in, x, 3), *gradients


class LastLayer(torch.autograd.Function):
    """`Layer` for models whose head reads the first token of each text only: hidden states (t, h) in, (b, h) out.

    Every token gets a key and a value; the first ones alone get the rest. The result and all gradients are those of
    `Layer`, as what is left out would have no influence.
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
        """As `Layer.forward`."""
        w_in, b_in, *others = copies
        first, size = texts.geometry.first, hidden.shape[1]
        x = hidden.to(w_in.dtype)
        y = x[first]
        q = linear(y, w_in[:size], b_in[:size]).view(len(first) * shape.heads, 1, -1)
        k, v = _split(linear(x, w_in[size:], b_in[size:]), texts.geometry, shape.heads, 2)
        probabilities, kept, mixed = _attend(q, k, v, texts, factors.attention)
        result, saved = _finish(hidden[first], mixed.view(y.shape), shape, factors, others, parameters)
        ctx.geometry, ctx.factors, ctx.copies = texts.geometry, factors, copies
        ctx.save_for_backward(x, y, q, k, v, probabilities, kept, *saved)
        return result

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        x, y, q, k, v, probabilities, kept, *saved = ctx.saved_tensors
        w_in, _, *others = ctx.copies
        d_first, d_attended, gradients = _unfinish(gradient, ctx.factors, others, saved)
        d_q, d_kv = torch.empty_like(q), torch.empty((2, *k.shape), dtype=x.dtype)
        _unattend(d_attended.view(q.shape), q, k, v, probabilities, kept, ctx.factors.attention, d_q, *d_kv)
        d_query, d_in = d_q.view(y.shape), _unsplit(d_kv, ctx.geometry)
        d_hidden = (d_in @ w_in[y.shape[1] :]).float()
        d_hidden[ctx.geometry.first] += d_first + d_query @ w_in[: y.shape[1]]
        return d_hidden, None, None, None, None, *_of_parts(d_query, y, 1), *_of_parts(d_in, x, 2), *gradients


class Attention(torch.autograd.Function):
    """The attention of a layer by itself: query, key and value of the flat tokens, (t, 3h), in and (t, h) out."""

    @staticmethod
    def forward(ctx: Any, products: Tensor, shape: Shape, texts: Texts, factors: Tensor | None) -> Tensor:
        q, k, v = _split(products, texts.geometry, shape.heads, 3)
        probabilities, kept, mixed = _attend(q, k, v, texts, factors)
        ctx.geometry, ctx.factors = texts.geometry, factors
        ctx.save_for_backward(q, k, v, probabilities, kept)
        return _join(mixed, texts.geometry)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        q, k, v, probabilities, kept = ctx.saved_tensors
        d_qkv = torch.empty((3, *q.shape), dtype=q.dtype)
        _unattend(_rows(gradient, ctx.geometry, q.shape), q, k, v, probabilities, kept, ctx.factors, *d_qkv)
        return _unsplit(d_qkv, ctx.geometry), None, None, None


def adapted_layer(
    hidden: Tensor, layer: Any, shape: Shape, texts: Texts, factors: Factors, kind: torch.dtype
) -> Tensor:
    """What `Layer` computes, of a layer of transformers whose products have an adapter, which computes them."""
    attention, output = layer.attention, layer.attention.output
    x = hidden.to(kind)
    parts = (attention.self.query, attention.self.key, attention.self.value)
    products = torch.cat([_adapted(part, x) for part in parts], 1)
    attended: Tensor = Attention.apply(products, shape, texts, factors.attention)  # type: ignore[no-untyped-call]
    middle = output.LayerNorm(_add(hidden, _adapted(output.dense, attended).float(), factors.attended))
    fed = gelu(_adapted(layer.intermediate.dense, middle.to(kind)))
    result: Tensor = layer.output.LayerNorm(_add(middle, _adapted(layer.output.dense, fed).float(), factors.fed))
    return result


def _adapted(product: torch.nn.Module, x: Tensor) -> Tensor:
    """Of `product`, in the type of `x`, with whatever stands beside its weights."""
    with torch.autocast("cpu", torch.bfloat16, enabled=x.dtype == torch.bfloat16):
        result: Tensor = product(x)
    return result


def _attend(q: Tensor, k: Tensor, v: Tensor, texts: Texts, factors: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
    """Probabilities, fp32, what of them dropout keeps, and the values mixed by that: (b · heads, s, h / heads)."""
    probabilities = _softmax(torch.bmm(q, k.transpose(1, 2)), texts, q.shape[-1] ** -0.5)
    kept = _times(probabilities, factors).to(q.dtype)
    return probabilities, kept, torch.bmm(kept, v)


def _unattend(
    gradient: Tensor,
    q: Tensor,
    k: Tensor,
    v: Tensor,
    probabilities: Tensor,
    kept: Tensor,
    factors: Tensor | None,
    d_q: Tensor,
    d_k: Tensor,
    d_v: Tensor,
) -> None:
    """Write the gradients of `_attend` into `d_q`, `d_k` and `d_v`."""
    d_probabilities = _times(torch.bmm(gradient, v.transpose(1, 2)).float(), factors)
    d_scores = aten._softmax_backward_data(d_probabilities, probabilities, -1, torch.float32)
    d_scores = d_scores.mul_(q.shape[-1] ** -0.5).to(q.dtype)
    torch.bmm(d_scores, k, out=d_q)
    torch.bmm(d_scores.transpose(1, 2), q, out=d_k)
    torch.bmm(kept.transpose(1, 2), gradient, out=d_v)


def _finish(
    hidden: Tensor,
    attended: Tensor,
    shape: Shape,
    factors: Factors,
    copies: list[Tensor],
    parameters: tuple[Tensor, ...],
) -> tuple[Tensor, tuple[Tensor, ...]]:
    """A layer after attention has mixed the values, and what `_unfinish` needs."""
    w_out, b_out, w_up, b_up, w_down, b_down = copies
    norm, norm_bias, last, last_bias = *parameters[8:10], *parameters[14:16]
    width = hidden.shape[1:]
    first = _add(hidden, linear(attended, w_out, b_out).float(), factors.attended)
    middle, mean, scale = aten.native_layer_norm(first, width, norm, norm_bias, shape.eps)
    m = middle.to(w_out.dtype)
    up = linear(m, w_up, b_up)
    fed = gelu(up)
    second = _add(middle, linear(fed, w_down, b_down).float(), factors.fed)
    result, last_mean, last_scale = aten.native_layer_norm(second, width, last, last_bias, shape.eps)
    saved = attended, first, mean, scale, m, up, fed, second, last_mean, last_scale, norm, norm_bias, last, last_bias
    return result, saved


def _unfinish(
    gradient: Tensor, factors: Factors, copies: list[Tensor], saved: list[Tensor]
) -> tuple[Tensor, Tensor, tuple[Tensor, ...]]:
    """The gradients of `hidden` and `attended` of `_finish`, and of the parameters from attention's out on."""
    attended, first, mean, scale, m, up, fed, second, last_mean, last_scale, norm, norm_bias, last, last_bias = saved
    w_out, _, w_up, _, w_down, _ = copies
    kind, width, every = w_out.dtype, first.shape[1:], [True, True, True]
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
    gradients = (
        *(*_of_parts(d_out, attended, 1), d_norm, d_norm_bias),
        *(*_of_parts(d_up, m, 1), *_of_parts(d_down, fed, 1), d_last, d_last_bias),
    )
    return d_first, d_out @ w_out, gradients


def _of_parts(gradient: Tensor, inputs: Tensor, parts: int) -> list[Tensor]:
    """The gradients, fp32, of weight and bias of each of the products that were computed as one.

    Args:
        gradient: of what the product gave, (t, parts · n).
        inputs: (t, m).
    """
    weights = (gradient.t() @ inputs).float().chunk(parts)
    biases = gradient.sum(0, dtype=torch.float32).chunk(parts)
    return [each for pair in zip(weights, biases, strict=True) for each in pair]


def _times(values: Tensor, factors: Tensor | None) -> Tensor:
    return values if factors is None else values * factors


def _add(residual: Tensor, values: Tensor, factors: Tensor | None) -> Tensor:
    return residual + values if factors is None else torch.addcmul(residual, values, factors)


def _softmax(scores: Tensor, texts: Texts, scale: float) -> Tensor:
    """The probabilities, fp32, of scores (b · heads, s, w)."""
    scores = scores.float()
    if texts.bias is None:
        return (scores * scale).softmax(-1)
    by_row = scores.view(texts.geometry.rows, -1, *scores.shape[1:])
    return torch.add(texts.bias, by_row, alpha=scale).view_as(scores).softmax(-1)


def _split(products: Tensor, geometry: Geometry, heads: int, parts: int) -> Tensor:
    """Some of query, key and value of the flat tokens, (t, parts · h), as (parts, b · heads, w, h / heads)."""
    padded = geometry.to_padded(products).view(geometry.rows, geometry.width, parts, heads, -1)
    return padded.permute(2, 0, 3, 1, 4).reshape(parts, geometry.rows * heads, geometry.width, -1)


def _unsplit(products: Tensor, geometry: Geometry) -> Tensor:
    """The inverse of `_split`."""
    by_row = products.view(len(products), geometry.rows, -1, *products.shape[2:])
    return geometry.to_flat(by_row.permute(1, 3, 0, 2, 4).reshape(geometry.rows * geometry.width, -1))


def _join(attended: Tensor, geometry: Geometry) -> Tensor:
    """What the heads give, (b · heads, w, h / heads), as (t, h)."""
    by_row = attended.view(geometry.rows, -1, *attended.shape[1:])
    return geometry.to_flat(by_row.transpose(1, 2).reshape(geometry.rows * geometry.width, -1))


def _rows(hidden: Tensor, geometry: Geometry, shape: torch.Size) -> Tensor:
    """The inverse of `_join`."""
    padded = geometry.to_padded(hidden).view(geometry.rows, geometry.width, -1, shape[-1])
    return padded.transpose(1, 2).reshape(shape)
