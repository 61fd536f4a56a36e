"""Adapters: low-rank factors beside the linear layers of a frozen model (LoRA), and the new modules trained whole."""

from __future__ import annotations

import warnings
from collections.abc import Collection
from typing import Any

import torch

from passingloop.config.settings import AdapterConfig

HEADS = ("classifier", "score", "classification_head", "logits_proj")
"""Ends of the names of heads, which are trained whole in any case. PEFT does so with the first two whenever it loads an
adapter for classification, and by the end of the name as well."""

RECURRENT = ("falcon_h1", "falcon_mamba", "mamba", "mamba2", "nemotron_h")
"""Types of models that read the weights of some linear layers past their factors."""

PAST_FACTORS = ("dt_proj", "out_proj")
"""Ends of the names of those layers. PEFT refuses factors of `out_proj`; those of `dt_proj` would never learn."""


def add_adapter(
    model: torch.nn.Module, config: AdapterConfig, seed: int, *, new: Collection[str], classifies: bool
) -> torch.nn.Module:
    """`model` itself or, with LoRA, the frozen model with low-rank factors beside the linear layers.

    Args:
        new: the modules with newly initialised weights; they are trained whole, and get no factors.
        classifies: whether the model has a head for texts; otherwise it has one for tokens, which is pretrained.
    """
    if config.kind == "none":
        return model
    import peft  # takes a second; only with LoRA

    torch.manual_seed(seed)
    settings: dict[str, Any] = {"r": config.rank, "lora_alpha": config.alpha, "lora_dropout": config.dropout}
    if getattr(model.config, "model_type", None) in RECURRENT:
        settings["exclude_modules"] = list(PAST_FACTORS)
    if classifies:
        whole = _outermost({*new, *(name for name, _ in model.named_children() if name.endswith(HEADS))})
        settings["task_type"] = peft.TaskType.SEQ_CLS
        settings["target_modules"] = _linear_layers(model, whole)
        # PEFT compares the end of names only; with "model." before it, a name fits no other module.
        settings["modules_to_save"] = [f"model.{name}" for name in whole]
    else:
        settings |= {"task_type": peft.TaskType.CAUSAL_LM, "target_modules": "all-linear"}
    with warnings.catch_warnings():
        # PEFT 0.21 uses an old name of transformers 5.23, and reports that it handles the layers of GPT-2.
        warnings.filterwarnings("ignore", "`is_gradient_checkpointing` is deprecated", FutureWarning)
        warnings.filterwarnings("ignore", "fan_in_fan_out is set to False", UserWarning)
        adapted: torch.nn.Module = peft.get_peft_model(model, peft.LoraConfig(**settings))
    return adapted


def _outermost(names: Collection[str]) -> list[str]:
    """The `names` of modules that are not inside another one of them."""
    return sorted(name for name in names if not any(name.startswith(f"{other}.") for other in names))


def _linear_layers(model: torch.nn.Module, whole: Collection[str]) -> list[str]:
    """The names of the linear layers, as PEFT's "all-linear" takes them, outside the modules in `whole`."""
    from transformers.pytorch_utils import Conv1D

    return [
        name
        for name, module in model.named_modules()
        if isinstance(module, torch.nn.Linear | Conv1D)
        and not any(name == other or name.startswith(f"{other}.") for other in whole)
    ]
