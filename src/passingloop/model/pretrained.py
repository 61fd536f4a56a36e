"""Finds a pretrained model in a folder, on the hub or in an installed package; loads its tokenizer and settings."""

from __future__ import annotations

import dataclasses
import json
import os
import socket
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from pickle import UnpicklingError
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import torch
import transformers

from passingloop.config.build import did_you_mean
from passingloop.config.data import Fingerprint
from passingloop.config.locations import hub_is_offline
from passingloop.config.settings import ModelConfig
from passingloop.errors import ConfigError, MissingError
from passingloop.model.fingerprint import (
    PACKAGED,
    WEIGHTS,
    cached_file,
    folder_fingerprint,
    hub_fingerprint,
    package_folder,
    pinned_commit,
)
from passingloop.model.meta_tensors import MetaShortcuts

LFS_HEADER = b"version https://git-lfs."
"""The first bytes of a Git LFS pointer (Git LFS specification, v1)."""

POSITIONS = (
    "max_position_embeddings",
    "max_encoder_position_embeddings",
    "max_decoder_position_embeddings",
    "max_target_positions",
)
"""Settings with the number of positions that a model has; models use different names."""

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
    if config.revision is None and package_folder(config.path):
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
    packaged = package_folder(config.path)
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
        ConfigError: there is no tokenizer, or only a slow one; or it has no token to pad with.
    """
    tokenizer = load_pretrained(transformers.AutoTokenizer, origin, config)
    if not tokenizer.is_fast:
        raise ConfigError(f"The tokenizer of {config.path} has no fast version (tokenizer.json), which is needed here.")
    tokenizer.padding_side = "right"
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token or tokenizer.unk_token
    if tokenizer.pad_token_id is None:
        raise ConfigError(
            f"The tokenizer of {config.path} has neither a pad_token nor an eos_token nor an unk_token, so short texts "
            "cannot be padded. Give it a pad_token in tokenizer_config.json."
        )
    return tokenizer


def load_settings(origin: Origin, config: ModelConfig) -> Any:
    """The configuration of the model in transformers, without its weights."""
    return load_pretrained(transformers.AutoConfig, origin, config)


def max_tokens(tokenizer: Any, settings: Any) -> int | None:
    """The maximum number of tokens of the model; None if it is not configured."""
    text_settings = settings.get_text_config()
    positions = _smallest(getattr(text_settings, name, None) for name in POSITIONS)
    longest, pad = _smallest([positions, tokenizer.model_max_length]), text_settings.pad_token_id
    if positions is None or longest is None or pad is None or longest < positions - pad:
        return longest
    with torch.device("meta"), MetaShortcuts():
        model = transformers.AutoModel.from_config(settings)
    return positions - pad - 1 if counts_from_padding(model) else longest


def _smallest(limits: Iterable[object]) -> int | None:
    """The smallest of the `limits` that are set; tokenizers without a limit have a huge one."""
    return min((limit for limit in limits if isinstance(limit, int) and 0 < limit < 10**9), default=None)


def counts_from_padding(model: torch.nn.Module) -> bool:
    """Whether the model counts positions from its padding token, as RoBERTa does: so many less are left for texts."""
    return any(
        isinstance(module, torch.nn.Embedding) and module.padding_idx is not None
        for name, module in model.named_modules()
        if "position" in name.rpartition(".")[2]
    )


def load_pretrained(auto: Any, origin: Origin, config: ModelConfig, **extra: Any) -> Any:
    """What `auto`, an auto class of transformers, loads from `origin` with the arguments `extra`.

    Raises:
        ConfigError: it cannot be loaded.
    """
    try:
        with MetaShortcuts():
            return auto.from_pretrained(
                origin.path,
                revision=origin.revision,
                trust_remote_code=config.trust_remote_code,
                local_files_only=origin.local,
                **extra,
            )
    except (MemoryError, torch.OutOfMemoryError):
        raise
    except Exception as error:  # of any type, as many libraries read the files: ImportError, UnpicklingError, …
        raise ConfigError(
            f"You set model.path={config.path}, but {auto.__name__} cannot load it: {_load_failure(error, origin)}"
        ) from error


def _load_failure(error: Exception, origin: Origin) -> str:
    """Why a model cannot be loaded, and what to do, without advice of other libraries to run the code in a pickle."""
    pointer = _git_lfs_pointer(Path(origin.path))
    text = str(error).strip()
    if pointer is not None:
        return f"{pointer} is only a Git LFS pointer to the file. Run `git lfs pull` in the folder."
    if isinstance(error, UnpicklingError) or "weights_only" in text:
        what = "holds more than tensors" if "unsupported global" in text.lower() else "is damaged, or is no checkpoint"
        return (
            f"its weights are a pickle that {what}; it is not loaded, because a pickle can run any code. Convert the "
            "weights to safetensors where they come from."
        )
    lines = text.splitlines() or [type(error).__name__]
    reason = " ".join(line.strip() for line in lines[: 1 + lines[0].rstrip().endswith(":")]).rstrip(" .:")
    if isinstance(error, KeyError):
        reason = f"{reason} is unknown, or missing in its files"
    if isinstance(error, ImportError):
        return f"{reason}. Set model.path to a model that needs no further package; a quantised one cannot be trained."
    return f"{reason}. Set model.path to a model for this task."


def _git_lfs_pointer(folder: Path) -> str | None:
    """The name of a file in `folder` cloned without Git LFS, so that it only refers to the real one."""
    files = sorted(path for path in folder.iterdir() if path.is_file()) if folder.is_dir() else []
    for path in files:
        with path.open("rb") as file:
            if file.read(len(LFS_HEADER)) == LFS_HEADER:
                return path.name
    return None


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


def input_embedding(model: Any) -> torch.nn.Embedding | None:
    """The embedding of the tokens; None for a model that has none, such as CANINE, which hashes characters."""
    try:
        embedding = model.get_input_embeddings()
    except NotImplementedError:
        return None
    return embedding if isinstance(embedding, torch.nn.Embedding) else None
