"""What a causal model's attention sees, measured by a forward pass, since it depends on the architecture."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

ROUNDING = 1e-3
"""Largest difference of logits, relative to their size, that comes of computing in another shape."""

LEAK = 1e-5
"""Between two computations in the same shape, a larger difference is leakage: rounding repeats itself there. Freshly
initialised LFM2 leaks 1e-4 through its convolutions; models that keep sequences apart stay below 1e-6."""


def keeps_apart(model: Any, vocabulary: int) -> bool:
    """Whether the logits of a sequence are the same behind another one in the row as alone.

    transformers derives block-diagonal attention from restarting position_ids where a model uses its mask functions;
    models with recurrent state or attention of their own may not.
    """
    first, second = _sequence(5, vocabulary, model), _sequence(7, vocabulary, model)
    other = (first + len(second)) % vocabulary
    behind, behind_other = (_logits(model, [before, second])[len(before) :] for before in (first, other))
    return _alike(_logits(model, [second]), behind, ROUNDING) and _alike(behind, behind_other, LEAK)


def looks_ahead(model: Any, vocabulary: int) -> bool:
    """Whether a token's logits depend on what follows it, as in an encoder: it would see what it is to predict."""
    sequence = _sequence(7, vocabulary, model)
    other = sequence.clone()
    other[-1] = 0
    return not _alike(_logits(model, [sequence])[:-1], _logits(model, [other])[:-1], LEAK)


def _sequence(length: int, vocabulary: int, model: Any) -> Tensor:
    return torch.arange(length, device=model.device) % (vocabulary - 1) + 1


def _alike(logits: Tensor, other: Tensor, tolerance: float) -> bool:
    return bool((logits - other).abs().max() <= tolerance * logits.abs().max())


@torch.no_grad()  # in inference mode FSDP would gather weights that training cannot use
def _logits(model: Any, sequences: list[Tensor]) -> Tensor:
    """Logits (tokens, vocabulary) of `sequences` in one row, without dropout."""
    was_training = model.training
    model.eval()
    places = torch.cat([torch.arange(len(sequence), device=sequence.device) for sequence in sequences])
    try:
        output = model(input_ids=torch.cat(sequences)[None], position_ids=places[None], use_cache=False)
    except TypeError:  # the model takes no position_ids: nothing tells the sequences apart
        output = model(input_ids=torch.cat(sequences)[None], use_cache=False)
    model.train(was_training)
    logits: Tensor = output.logits[0]
    return logits
