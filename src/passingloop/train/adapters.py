"""Low-rank adapters (PEFT)."""

from __future__ import annotations

import torch

from passingloop.config.settings import AdapterConfig, Task


def adapt(model: torch.nn.Module, config: AdapterConfig, task: Task, seed: int) -> torch.nn.Module:
    """`model` with what `config` asks for: itself, or frozen with LoRA factors beside every linear layer.

    A classification head stays trainable as a whole, since it is new.
    """
    if config.kind == "none":
        return model
    import peft  # takes a second: only for those who use it

    torch.manual_seed(seed)
    kind = peft.TaskType.SEQ_CLS if task == "classification" else peft.TaskType.CAUSAL_LM
    adapted: torch.nn.Module = peft.get_peft_model(
        model,
        peft.LoraConfig(
            task_type=kind,
            r=config.rank,
            lora_alpha=config.alpha,
            lora_dropout=config.dropout,
            target_modules="all-linear",
        ),
    )
    return adapted
