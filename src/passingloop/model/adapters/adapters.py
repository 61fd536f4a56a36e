"""Adapters: low-rank factors beside the linear layers of a frozen model (LoRA), and the new modules trained whole."""

from __future__ import annotations

import warnings
from collections.abc import Collection
from typing import Any

import torch
from transformers.pytorch_utils import Conv1D

from passingloop.config.settings import AdapterConfig
from passingloop.model.adapters.frozen import (
    LAYERS,
    FourBitLinear,
    Held,
    hold_in_bf16,
    packed_away,
    quiet_quantizer,
    restored,
)

HEADS = ("classifier", "score", "classification_head", "logits_proj")
"""Ends of the names of heads, which are trained whole in any case. PEFT does so with the first two whenever it loads an
adapter for classification, and by the end of the name as well."""

RECURRENT = ("falcon_h1", "falcon_mamba", "mamba", "mamba2", "nemotron_h")
"""Types of models that read the weights of some linear layers past their factors."""

PAST_FACTORS = ("dt_proj", "out_proj")
"""Ends of the names of those layers. PEFT refuses factors of `out_proj`; those of `dt_proj` would never learn."""


CPU = torch.device("cpu")


def add_adapter(
    model: torch.nn.Module,
    config: AdapterConfig,
    seed: int,
    *,
    new: Collection[str],
    classifies: bool,
    held: Held = "fp32",
    device: torch.device = CPU,
) -> torch.nn.Module:
    """`model` itself or, with LoRA, the frozen model with low-rank factors beside the linear layers.

    Args:
        new: the modules with newly initialised weights; they are trained whole, and get no factors.
        classifies: whether the model has a head for texts; otherwise it has one for tokens, which is pretrained.
        held: how the frozen weights of these layers are held.
        device: where weights are quantised, and stay.
    """
    if config.kind == "none":
        return model
    quiet_quantizer()
    import peft  # takes a second; only with LoRA

    from passingloop.model.adapters.low_rank import FactoredLinear

    torch.manual_seed(seed)
    settings: dict[str, Any] = {
        "r": config.rank,
        "lora_alpha": config.alpha,
        "lora_dropout": config.dropout,
        "use_dora": config.dora,
        "use_rslora": config.rslora,
    }
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
    lora = peft.LoraConfig(**settings)
    lora._register_custom_module({torch.nn.Linear: FactoredLinear, Conv1D: FactoredLinear})
    with warnings.catch_warnings():
        # PEFT 0.21 uses an old name of transformers 5.23.
        warnings.filterwarnings("ignore", "`is_gradient_checkpointing` is deprecated", FutureWarning)
        adapted: torch.nn.Module = peft.get_peft_model(model, lora)
    for layer in adapted.modules():
        if isinstance(layer, FactoredLinear) and type(layer.base_layer) in LAYERS:
            if held == "bf16":
                hold_in_bf16(layer.base_layer)
            elif held == "nf4":
                layer.base_layer = FourBitLinear(layer.base_layer, device)
                layer.start_from_held_weight()
    return adapted


def merge_adapter(model: Any) -> Any:
    """`model` with its factors merged into its weights, in fp32 and on the CPU: as it was trained, also in 4 bits.

    On the CPU, as the weights need not fit beside what training has left on the device.
    """
    from passingloop.model.adapters.low_rank import FactoredLinear

    model.cpu()
    for layer in model.modules():
        if isinstance(layer, FactoredLinear) and type(layer.base_layer) in (*LAYERS, FourBitLinear):
            layer.base_layer = restored(layer.base_layer)
    return model.merge_and_unload()


def exported_bytes(model: torch.nn.Module, *, merge: bool) -> int:
    """Bytes of what is exported of `model`, in fp32: everything or, with LoRA and without `merge`, what is trained."""
    named = list(model.named_parameters())
    if not merge and hasattr(model, "merge_and_unload"):
        return 4 * sum(weights.numel() for _, weights in named if weights.requires_grad)
    added = ("lora_", "modules_to_save")  # merged into the others, or written in the place of others
    count = sum(weights.numel() for name, weights in named if not any(word in name for word in added))
    return 4 * (count + packed_away(model))


def _outermost(names: Collection[str]) -> list[str]:
    """The `names` of modules that are not inside another one of them."""
    return sorted(name for name in names if not any(name.startswith(f"{other}.") for other in names))


def _linear_layers(model: torch.nn.Module, whole: Collection[str]) -> list[str]:
    """The names of the linear layers, as PEFT's "all-linear" takes them, outside the modules in `whole`."""
    return [
        name
        for name, module in model.named_modules()
        if isinstance(module, torch.nn.Linear | Conv1D)
        and not any(name == other or name.startswith(f"{other}.") for other in whole)
    ]
