"""The finished model in Hugging Face format, for `AutoModel….from_pretrained`, here and in Google Cloud Storage."""

from __future__ import annotations

import hashlib
import logging
import resource
import shutil
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open

from passingloop.config.settings import RunConfig
from passingloop.data.gcs.connection import open_connection
from passingloop.errors import ConfigError, MissingError, NotSaved
from passingloop.files import publish_folder, read_json, write_json
from passingloop.model.adapters.adapters import exported_bytes, merge_adapter
from passingloop.rundir.directory import RunDir

SETTING = "export.credentials"

SHARD_BYTES = 5 * 10**9
"""Larger models are written in several files, of 50 GB in transformers 5; some releases have taken 5."""

LAST = ("config.json", "adapter_config.json")
"""Uploaded when everything else is there, since a folder with one of them is taken for a model."""

log = logging.getLogger("passingloop")


@contextmanager
def _export_errors() -> Iterator[None]:
    """A context in which a folder is written; also a decorator.

    Raises:
        NotSaved: it cannot be written: the disk is full, or a file larger than allowed.
    """
    try:
        yield
    except (OSError, SafetensorError) as error:
        raise NotSaved(
            f"The model is trained, but its export cannot be written: {error}. Make room, or raise the limit that "
            "`ulimit -f` shows."
        ) from error


def check_file_size(model: torch.nn.Module, *, merge: bool = True) -> None:
    """See that a file with the weights of `model` may be written; how much room there is can change until then.

    Args:
        merge: as for `export`.

    Raises:
        NotSaved: it may not.
    """
    limit, _ = resource.getrlimit(resource.RLIMIT_FSIZE)
    needed = min(exported_bytes(model, merge=merge), SHARD_BYTES)
    if resource.RLIM_INFINITY != limit < needed:
        raise NotSaved(
            f"The trained model could not be saved: its weights need a file of {needed / 1e6:,.2f} MB, and no file may "
            f"be larger than {limit / 1e6:,.2f} MB here. Raise the limit that `ulimit -f` shows."
        )


@_export_errors()
def export(
    model: Any,
    tokenizer: Any,
    folder: Path,
    ends: Collection[int] = (),
    commit: str | None = None,
    *,
    merge: bool = True,
    attempt: int = 1,
    check: Callable[[], None] = lambda: None,
) -> None:
    """Write `model` and `tokenizer` into `folder`, whole or not at all.

    LoRA factors are merged into the weights, and kept by themselves as well, in the subfolder ``adapter``.

    Args:
        ends: the tokens that end what the model has learned to write: generation stops there.
        merge: if not, LoRA factors are written by themselves only, in the place of the model.
        commit: of the pretrained model on the hub; with LoRA factors it says which weights they belong to.
        attempt: its number is in the name of the unfinished folder, as an attempt on a node that is cut off may still
            be writing its own.
        check: is called before `folder` is replaced; an exception that it raises leaves that alone.

    Raises:
        NotSaved: they cannot be written.
    """
    beside = folder.with_name(f".{folder.name}.attempt-{attempt}")
    for unfinished in folder.parent.glob(f".{folder.name}.attempt-*"):
        shutil.rmtree(unfinished, ignore_errors=True)
    if hasattr(model, "merge_and_unload"):
        for adapter in model.peft_config.values():
            adapter.revision = commit
        # Embeddings are never resized here; "auto" would ask the hub whether they were.
        model.save_pretrained(beside / "adapter" if merge else beside, save_embedding_layers=False)
        model = merge_adapter(model) if merge else model
    if not hasattr(model, "merge_and_unload"):
        model.save_pretrained(beside)
    eos = getattr(model.config.get_text_config(), "eos_token_id", None)
    _add_stop_tokens(beside / "generation_config.json", ends, eos)
    _reset_usage(tokenizer)
    tokenizer.save_pretrained(beside)
    check()
    shutil.rmtree(folder, ignore_errors=True)
    publish_folder(beside, folder)


def _reset_usage(tokenizer: Any) -> None:
    """Remove from `tokenizer` what it was used for and where it was loaded from, which it would write as well.

    Calls leave truncation and padding in tokenizer.json; with tokens from the cache there are no calls.
    """
    tokenizer.backend_tokenizer.no_truncation()
    tokenizer.backend_tokenizer.no_padding()
    for name in ("is_local", "local_files_only"):
        tokenizer.init_kwargs.pop(name, None)


def _add_stop_tokens(path: Path, ends: Collection[int], eos: int | list[int] | None) -> None:
    """Add `ends` to the tokens at which generation stops; all other settings stay as the model brought them.

    The file is changed, as transformers saves no changed settings if it finds any of them inconsistent, such as a
    temperature without sampling, which published models have.

    Args:
        path: the file does not exist if the model does not generate.
        eos: used if the file names no such token.
    """
    if not path.exists():
        return
    settings = read_json(path)
    own = settings.get("eos_token_id", eos)
    own = [] if own is None else own if isinstance(own, list) else [own]
    if added := sorted(set(ends) - set(own)):
        stops = own + added  # the first one may serve as padding
        settings["eos_token_id"] = stops if len(stops) > 1 else stops[0]
        settings.pop("_from_model_config", None)
        write_json(path, settings)


def weights_sha256(folder: Path) -> str:
    """SHA-256 over the exported tensors in order of name: name, type, shape and bytes of each."""
    digest = hashlib.sha256()
    places: dict[str, Path] = {}
    for file in folder.glob("*.safetensors"):
        with safe_open(file, framework="pt") as opened:
            places |= dict.fromkeys(opened.keys(), file)
    for name in sorted(places):
        with safe_open(places[name], framework="pt") as opened:
            tensor = opened.get_tensor(name).contiguous()
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.flatten().view(torch.uint8).numpy())
    return digest.hexdigest()


def destination(config: RunConfig, run: RunDir) -> str | None:
    """The folder for the model of `run`, apart from those of a sweep's other runs; None without `export.to`."""
    if config.export.to is None:
        return None
    return f"{config.export.to.rstrip('/')}/{config.name}/{run.path.name}"


def check_destination(config: RunConfig, run: RunDir) -> None:
    """See that the model can be uploaded when it is trained. Writes nothing.

    Raises:
        ConfigError: there is no such bucket, or the credentials cannot be used.
        MissingError: the server refuses, fails or keeps silent.
    """
    to = destination(config, run)
    if to is None:
        return
    with _to_bucket(to), open_connection(config.export.credentials, SETTING, "read_write") as objects:
        objects.check_writable(f"{to}/{LAST[0]}")


def upload(config: RunConfig, run: RunDir) -> None:
    """Upload what is in `export/`. A file that is there already, by its checksum, is left as it is.

    Raises:
        MissingError: not everything is there; says how to go on.
    """
    to = destination(config, run)
    if to is None:
        return
    log.info("Uploading the model to %s", to)
    try:
        with _to_bucket(to), open_connection(config.export.credentials, SETTING, "read_write") as objects:
            for path in _files(run.export):
                objects.upload(path, f"{to}/{path.relative_to(run.export).as_posix()}")
    except (ConfigError, MissingError) as error:
        raise MissingError(
            f"The model is trained, and whole in {run.export}; only uploading it has failed. {error} The same command "
            "uploads what is missing."
        ) from error


def _files(folder: Path) -> list[Path]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return sorted(files, key=lambda path: path.parent == folder and path.name in LAST)


@contextmanager
def _to_bucket(to: str) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as error:
        raise ConfigError(f"You set export.to so that the model goes to {to}, but there is no such bucket.") from error
