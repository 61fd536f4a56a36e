"""Low-rank adapters (PEFT)."""

from __future__ import annotations

import warnings

import torch

from passingloop.config.settings import AdapterConfig


def add_adapter(model: torch.nn.Module, config: AdapterConfig, seed: int, *, new_head: bool) -> torch.nn.Module:
    """`model` with what `config` asks for: itself, or frozen with LoRA factors beside every linear layer.

    Args:
        new_head: the head is trained as a whole, since it is new.
    """
    if config.kind == "none":
        return model
    import peft  # takes a second: only for those who use it

    torch.manual_seed(seed)
    kind = peft.TaskType.SEQ_CLS if new_head else peft.TaskType.CAUSAL_LM
    lora = peft.LoraConfig(
        task_type=kind,
        r=config.rank,
        lora_alpha=config.alpha,
        lora_dropout=config.dropout,
        target_modules="all-linear",
    )
    with warnings.catch_warnings():
        # PEFT 0.21 asks transformers 5.23 by an old name, and says that it treats GPT-2's layers rightly.
        warnings.filterwarnings("ignore", "`is_gradient_checkpointing` is deprecated", FutureWarning)
        warnings.filterwarnings("ignore", "fan_in_fan_out is set to False", UserWarning)
        adapted: torch.nn.Module = peft.get_peft_model(model, lora)
    return adapted
