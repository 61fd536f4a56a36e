"""Runs a BERT-like encoder on a CPU without padding.

The parameters, their names and the modules around the encoder stay those of transformers. Only `forward` of the
model's base is replaced, so checkpoints and exported models are the same as without it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from passingloop.model.attention import plain_model
from passingloop.model.encoders.dropout import Masks
from passingloop.model.encoders.geometry import Geometry, Padding
from passingloop.model.encoders.layer import Factors, LastLayer, Layer, Shape, Texts, adapted_layer

KINDS = ("bert", "roberta", "xlm-roberta", "camembert")
"""Values of `model_type` of the encoders whose layers are those of BERT."""

HEADS_OF_FIRST = tuple(f"{name}ForSequenceClassification" for name in ("Bert", "Roberta", "XLMRoberta", "Camembert"))
"""Models of transformers whose head reads the hidden states of each text's first token only."""


def run_flat(model: nn.Module) -> bool:
    """Let `model`, on a CPU, compute without padding if it is one of `KINDS` with plain layers, or with factors beside
    them; whether it does."""
    model = plain_model(model)
    base = getattr(model, getattr(model, "base_model_prefix", ""), None)
    if not isinstance(base, nn.Module) or not _has_known_layers(base):
        return False
    known = type(model).__module__.startswith("transformers.") and type(model).__name__ in HEADS_OF_FIRST
    base.forward = FlatForward(base, first_only=known)
    return True


class FlatForward:
    """`forward` of a base model, by `Layer`, for the arguments that training and evaluation pass.

    Args:
        first_only: whether the head reads the first token of each text only. Then the others have no part in the last
            layer but that they are attended to, which saves most of its work. With an adapter all are computed.
    """

    def __init__(self, base: Any, *, first_only: bool) -> None:
        self._is_adapted = any(map(_is_adapted, _all_parts(base)))
        self._base, self._first_only = base, first_only and not self._is_adapted
        self._copies = [] if self._is_adapted else [Copies(layer_parameters(layer)) for layer in base.encoder.layer]
        config = base.config
        self._shape = Shape(config.num_attention_heads, config.layer_norm_eps)

    def __call__(self, input_ids: Tensor | None = None, attention_mask: Tensor | None = None, **others: Any) -> Any:
        """As transformers': hidden states (b, w, h), zeros for padding, and what the pooler makes of them.

        With `first_only` the hidden states are (b, 1, h).

        Args:
            input_ids: shape (b, w).
            attention_mask: shape (b, w), 0 for padding.
        """
        unusual = any(not (value is None or value is False) for name, value in others.items() if name != "return_dict")
        if input_ids is None or unusual:
            return type(self._base).forward(self._base, input_ids, attention_mask, **others)
        from transformers.modeling_outputs import BaseModelOutputWithPooling

        kind = torch.bfloat16 if torch.is_autocast_enabled("cpu") else torch.float32
        geometry = Geometry.of(attention_mask, input_ids)
        first_only = self._first_only and geometry.starts_with_tokens()
        with torch.autocast("cpu", enabled=False):
            encoded = self._encode(self._embed(input_ids, geometry), geometry, kind, first_only=first_only)
            hidden: Tensor = encoded[:, None] if first_only else Padding.apply(encoded, geometry)  # type: ignore[no-untyped-call]
        pooler = self._base.pooler
        return BaseModelOutputWithPooling(hidden, None if pooler is None else pooler(hidden))

    def _embed(self, input_ids: Tensor, geometry: Geometry) -> Tensor:
        """The embeddings of the flat tokens, (t, h)."""
        embeddings = self._base.embeddings
        positions = geometry.padded % geometry.width
        if hasattr(embeddings, "create_position_ids_from_input_ids"):  # RoBERTa counts the tokens that are no padding
            counted = embeddings.create_position_ids_from_input_ids(input_ids, embeddings.padding_idx)
            positions = counted.flatten()[geometry.padded]
        embedded: Tensor = embeddings(input_ids.flatten()[geometry.padded][None], position_ids=positions[None])[0]
        return embedded

    def _encode(self, hidden: Tensor, geometry: Geometry, kind: torch.dtype, *, first_only: bool) -> Tensor:
        """The hidden states after all layers: of the flat tokens, (t, h), or of each row's first one, (b, h)."""
        layers: list[Any] = [Layer] * len(self._base.encoder.layer)
        if first_only:
            layers[-1] = LastLayer
        texts = Texts(geometry, geometry.bias())
        if self._is_adapted:
            pairs = zip(self._base.encoder.layer, self._factors(hidden, geometry, layers), strict=True)
            for adapted, factors in pairs:
                hidden = adapted_layer(hidden, adapted, self._shape, texts, factors, kind)
            return hidden
        for layer, copies, factors in zip(layers, self._copies, self._factors(hidden, geometry, layers), strict=True):
            hidden = layer.apply(hidden, self._shape, texts, factors, copies.of_type(kind), *copies.parameters)
        return hidden

    def _factors(self, hidden: Tensor, geometry: Geometry, layers: Sequence[Any]) -> list[Factors]:
        """Those of each layer. All masks are drawn together."""
        config, training = self._base.config, self._base.training
        dropped = config.hidden_dropout_prob if training else 0.0
        unseen = config.attention_probs_dropout_prob if training else 0.0
        queries = [1 if layer is LastLayer else geometry.width for layer in layers]
        states = [(geometry.rows if layer is LastLayer else len(hidden), hidden.shape[1]) for layer in layers]
        scores = [(geometry.rows * self._shape.heads, count, geometry.width) for count in queries]
        counts = {dropped: 0, unseen: 0}
        counts[dropped] += sum(2 * math.prod(shape) for shape in states)
        counts[unseen] += sum(map(math.prod, scores))
        masks = Masks(counts)
        return [
            Factors(masks.take(unseen, *seen), masks.take(dropped, *shape), masks.take(dropped, *shape))
            for seen, shape in zip(scores, states, strict=True)
        ]


@dataclass(eq=False)
class Copies:
    """Copies of the weights of a layer in the type of its matrix products, made anew when the weights have changed.

    That is told by their versions, which torch counts at each change, but for fused optimizers: they must do it
    themselves.
    """

    parameters: tuple[nn.Parameter, ...]
    """As `Layer` takes them."""

    def __post_init__(self) -> None:
        self._made_of: tuple[Any, ...] = ()
        self._copies: tuple[Tensor, ...] = ()

    @torch.no_grad()
    def of_type(self, kind: torch.dtype) -> tuple[Tensor, ...]:
        """Weight and bias of the products of `Layer`."""
        state = (kind, *((p.data_ptr(), p._version) for p in self.parameters))
        if state == self._made_of:
            return self._copies
        q, q_bias, k, k_bias, v, v_bias, *others = self.parameters
        sources = (q, k, v), (q_bias, k_bias, v_bias), *((each,) for each in (*others[:2], *others[4:8]))
        if not self._made_of or self._made_of[0] != kind:
            shapes = ((sum(len(part) for part in parts), *parts[0].shape[1:]) for parts in sources)
            self._copies = tuple(torch.empty(shape, dtype=kind) for shape in shapes)
        for copy, parts in zip(self._copies, sources, strict=True):
            for place, part in zip(torch.split(copy, [len(part) for part in parts]), parts, strict=True):
                place.copy_(part)
        self._made_of = state
        return self._copies


def layer_parameters(layer: Any) -> tuple[nn.Parameter, ...]:
    """Weight and bias of each of `_parts`."""
    return tuple(parameter for part in _parts(layer) for parameter in (part.weight, part.bias))


def _parts(layer: Any) -> tuple[Any, ...]:
    attention = layer.attention
    return (
        *(attention.self.query, attention.self.key, attention.self.value, attention.output.dense),
        *(attention.output.LayerNorm, layer.intermediate.dense, layer.output.dense, layer.output.LayerNorm),
    )


def _all_parts(base: Any) -> Iterator[Any]:
    return (part for layer in base.encoder.layer for part in _parts(layer))


def _has_known_layers(base: Any) -> bool:
    config = base.config
    if config.model_type not in KINDS or config.hidden_act != "gelu" or config.is_decoder or config.add_cross_attention:
        return False
    return all(_is_adapted(part) or _is_plain(part) for part in _all_parts(base))


def _is_plain(part: Any) -> bool:
    return type(part) in (nn.Linear, nn.LayerNorm) and part.bias is not None and part.weight.dtype == torch.float32


def _is_adapted(part: Any) -> bool:
    """Whether it is a linear layer with factors beside it."""
    if not hasattr(part, "base_layer"):
        return False
    from passingloop.model.adapters.low_rank import FactoredLinear  # imports PEFT, which such a part comes from

    return type(part) is FactoredLinear
