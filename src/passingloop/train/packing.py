"""Whether a model keeps packed sequences apart: found by trying, since it depends on the architecture."""

from __future__ import annotations

from typing import Any

import torch

TOLERANCE = 1e-3
"""Largest difference of logits, relative to their size, that is rounding and not leakage."""


@torch.inference_mode()
def keeps_apart(model: Any, vocabulary: int) -> bool:
    """Whether the logits of a sequence are the same behind another one in the row as alone.

    transformers derives block-diagonal attention from restarting position_ids where a model uses its mask functions;
    models with recurrent state or attention of their own may not.
    """
    was_training = model.training
    model.eval()
    first, second = (torch.arange(length, device=model.device) % (vocabulary - 1) + 1 for length in (5, 7))
    alone = _logits(model, [second])[-len(second) :]
    behind = _logits(model, [first, second])[-len(second) :]
    model.train(was_training)
    return bool((alone - behind).abs().max() <= TOLERANCE * alone.abs().max())


def _logits(model: Any, sequences: list[torch.Tensor]) -> torch.Tensor:
    places = torch.cat([torch.arange(len(sequence), device=sequence.device) for sequence in sequences])
    try:
        output = model(input_ids=torch.cat(sequences)[None], position_ids=places[None], use_cache=False)
    except TypeError:  # the model takes no position_ids: nothing tells the sequences apart
        output = model(input_ids=torch.cat(sequences)[None], use_cache=False)
    logits: torch.Tensor = output.logits[0]
    return logits
