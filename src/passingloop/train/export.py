"""The finished model in Hugging Face format, for `AutoModel….from_pretrained`."""

from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open

from passingloop.files import sync_folder


def export(model: Any, tokenizer: Any, folder: Path) -> None:
    """Write `model` (with LoRA factors merged into it) and `tokenizer` into `folder`, whole or not at all.

    LoRA factors are kept by themselves as well, in the subfolder ``adapter``.
    """
    beside = folder.with_name(f".{folder.name}")
    shutil.rmtree(beside, ignore_errors=True)
    if hasattr(model, "merge_and_unload"):
        # Embeddings are never resized here; "auto" would ask the hub whether they were.
        model.save_pretrained(beside / "adapter", save_embedding_layers=False)
        model = model.merge_and_unload()
    model.save_pretrained(beside)
    tokenizer.save_pretrained(beside)
    for path in beside.rglob("*.*"):
        with path.open("rb") as written:
            os.fsync(written.fileno())
    shutil.rmtree(folder, ignore_errors=True)
    beside.rename(folder)
    sync_folder(folder.parent)


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
