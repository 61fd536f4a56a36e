"""Floating-point operations of training steps, and what devices can do: for model FLOPs utilisation (MFU).

A token takes 6 N operations for N parameters, forward and backward, and attention takes 12 for each layer, head and
dimension of a head, and each token that is attended to (Chowdhery et al., "PaLM", arXiv:2204.02311, appendix B).
Three definitions are in use, which differ by several per cent, so all are given:

- `all_parameters`: every parameter counts, and attention as if each token attended to all of its sequence;
- `without_embedding`: parameters of tables in which tokens are only looked up do not count. A table that is the output
  layer as well computes there, and counts;
- `causal`: attention counts only what a causal model attends to, which is half. For a model that attends to all it is
  the second one.

The operations are those that the model needs, not those that were done: what is computed again to save memory counts
once, and padding does not count. Sequences are the examples, however they are packed. With sliding windows only the
tokens in the window count. Of frozen parameters no gradients are computed: they take 4 N (forward, and backward to
what is before them). Of a mixture of experts those parameters count that a token meets. Parameters that several layers
share (ALBERT) count once, as the formula has it, so a model with them computes more than this says.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

PEAKS = {
    "a10": 125e12, "a10g": 70e12, "a30": 165e12, "a40": 149.7e12, "rtx a6000": 154.8e12,
    "a100": 312e12, "a800": 312e12,
    "l4": 121e12, "l40": 181e12, "l40s": 362e12, "rtx 6000 ada": 364.2e12, "geforce rtx 4090": 165.2e12,
    "geforce rtx 3090": 71e12,
    "h100": 989.4e12, "h100 pcie": 756e12, "h100 nvl": 835.5e12, "h800": 989.4e12, "h20": 148e12, "gh200": 989.4e12,
    "h200": 989.4e12, "h200 nvl": 835.5e12,
    "b200": 2250e12, "gb200": 2500e12,
}  # fmt: skip
"""Dense bf16 operations per second, accumulated in fp32, by words of the name of a GPU. The makers' tables mostly give
twice as many, which holds for sparse matrices only.

Sources, of NVIDIA: data sheets of A10, A10G, A30, A40, A100, L4, L40, L40S, H100, H200, RTX A6000, GH200 (each half of
"with sparsity"); white papers of the architectures GA102 (GeForce RTX 3090) and AD102 (GeForce RTX 4090, RTX 6000 Ada);
Blackwell architecture technical brief (B200, GB200). H800 and A800 compute as H100 and A100 do."""

OTHERS = {"mig", "laptop", "ti", "super", "d"}
"""Words of the names of parts of GPUs, and of GPUs that differ from those with the same name without the word."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Operations:
    """Floating-point operations by each definition."""

    all_parameters: float = 0.0
    without_embedding: float = 0.0
    causal: float = 0.0

    def __add__(self, other: Operations) -> Operations:
        return self._with(other, 1)

    def __sub__(self, other: Operations) -> Operations:
        return self._with(other, -1)

    def shares_of(self, possible: float) -> dict[str, float]:
        """The MFU by each definition, if `possible` operations could have been done."""
        return {name: done / possible for name, done in asdict(self).items()}

    def _with(self, other: Operations, sign: int) -> Operations:
        return Operations(
            all_parameters=self.all_parameters + sign * other.all_parameters,
            without_embedding=self.without_embedding + sign * other.without_embedding,
            causal=self.causal + sign * other.causal,
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelSize:
    """What of a model its operations follow from."""

    per_token: float
    """Operations for each token, without attention: 6 N, or less for frozen parameters."""
    per_token_without_embedding: float
    width: float
    """Of attention: the heads of a layer times the dimensions of a head."""
    windows: Sequence[float]
    """For each layer with attention, how many tokens a token attends to at most; infinity without a limit."""
    is_causal: bool

    def operations(self, lengths: np.ndarray[Any, np.dtype[Any]]) -> Operations:
        """Those of a training step on sequences of these lengths."""
        tokens = float(lengths.sum())
        attended, causal = 0.0, 0.0
        for window in set(self.windows):
            seen = np.minimum(lengths, window, dtype=np.float64)
            layers = sum(each == window for each in self.windows)
            attended += layers * float((lengths * seen).sum())
            causal += layers * float((lengths * seen - seen * seen / 2).sum())
        attention = 12 * self.width * attended
        return Operations(
            all_parameters=self.per_token * tokens + attention,
            without_embedding=self.per_token_without_embedding * tokens + attention,
            causal=self.per_token_without_embedding * tokens
            + (12 * self.width * causal if self.is_causal else attention),
        )


def model_size(model: Any, settings: Any, *, is_causal: bool) -> ModelSize:
    """The size of a model, sharded or not, which knows by now what of it is trained.

    Args:
        settings: its transformers configuration.
        is_causal: whether it predicts the next token. A model that does something else may be causal, too.
    """
    settings = settings.get_text_config()  # also for models with image input
    met = _share_of_experts(settings)
    is_causal = is_causal or any(getattr(module, "is_causal", False) for module in model.modules())
    lookups = set(_lookup_tables(model))
    every = computing = 0.0
    for name, parameter in model.named_parameters():
        operations = (6.0 if parameter.requires_grad else 4.0) * _elements(parameter)
        operations *= met if ".experts." in name else 1.0
        every += operations
        computing += 0.0 if id(parameter) in lookups else operations
    return ModelSize(
        per_token=every,
        per_token_without_embedding=computing,
        width=_attention_width(settings),
        windows=tuple(_windows(settings, is_causal=is_causal)),
        is_causal=is_causal,
    )


def peak_flops(device: str) -> float | None:
    """Dense bf16 operations per second of a GPU with this name, as the driver has it; None if it is not known."""
    words = device.lower().replace("-", " ").replace("_", " ").split()
    if not OTHERS.isdisjoint(words):
        return None
    known = [name for name in PEAKS if set(name.split()) <= set(words)]
    return PEAKS[max(known, key=len)] if known else None


def _lookup_tables(model: Any) -> Iterator[int]:
    """Identities of the parameters in which tokens and positions are only looked up."""
    from torch.nn import Embedding

    output = model.get_output_embeddings() if hasattr(model, "get_output_embeddings") else None
    shared = id(getattr(output, "weight", None))
    for module in model.modules():
        if isinstance(module, Embedding) and id(module.weight) != shared:
            yield id(module.weight)


def _elements(parameter: Any) -> int:
    """Those of a quantised parameter, which packs several into one, are in its state (bitsandbytes)."""
    quantised = getattr(parameter, "quant_state", None)
    return int(parameter.numel() if quantised is None else math.prod(quantised.shape))


def _share_of_experts(settings: Any) -> float:
    """The share of a layer's experts that a token meets; 1 without experts."""
    names = ("num_experts", "num_local_experts", "n_routed_experts")
    experts = next((count for name in names if (count := getattr(settings, name, None))), None)
    met = getattr(settings, "num_experts_per_tok", None)
    return met / experts if experts and met else 1.0


def _attention_width(settings: Any) -> float:
    """Half of it is for queries and keys, half for values, whose heads may be of another size."""
    heads = getattr(settings, "num_attention_heads", None) or 0
    size = getattr(settings, "head_dim", None) or (settings.hidden_size / heads if heads else 0)
    keys, values = (getattr(settings, name, None) or size for name in ("qk_head_dim", "v_head_dim"))
    return float(heads * (keys + values) / 2)


def _windows(settings: Any, *, is_causal: bool) -> Iterator[float]:
    """As `ModelSize.windows`. Layers of another kind, such as convolutions, have none."""
    sliding = getattr(settings, "sliding_window", None) or math.inf
    if not is_causal:
        sliding = 2 * sliding + 1  # to both sides
    kinds = {
        "full_attention": math.inf,
        "sliding_attention": sliding,
        "chunked_attention": getattr(settings, "attention_chunk_size", None) or math.inf,
    }
    layers = getattr(settings, "layer_types", None) or ["sliding_attention"] * settings.num_hidden_layers
    yield from (kinds[kind] for kind in layers if kind in kinds)
