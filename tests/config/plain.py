"""What a composed configuration holds, for comparisons."""

from __future__ import annotations

from typing import Any

from omegaconf import DictConfig, OmegaConf


def plain(config: DictConfig) -> Any:
    return OmegaConf.to_container(config, resolve=False), OmegaConf.is_struct(config)


def without_hydra(config: DictConfig) -> Any:
    content, struct = plain(config)
    content.pop("hydra")
    return content, struct
