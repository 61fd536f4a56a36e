"""Configuration → signature, run directory, processes. Pure: reads and writes nothing."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from passingloop.config.bounds import Span
from passingloop.config.build import to_plain
from passingloop.config.settings import RunConfig
from passingloop.errors import ConfigError

LEARNED = ("task", "model", "adapter", "data", "trainer", "optim")
"""The sections that say what is learned: they make the signature."""

NOT_LEARNED = frozenset({"micro_batch", "kernels", "compile", "eval_every", "log_every", "pause_at"})
"""Settings of `trainer` that change how fast or how closely watched a run is, not what it learns."""

ADAPTER_DEFAULTS = {"rslora": False, "dora": False, "quantize": "none"}
"""Settings of `adapter` that are part of the signature only where they are something else: there were none once."""

SIGNATURE_LENGTH = 12
"""Hexadecimal digits: 48 bits, so 10,000 runs under one name collide with a probability of 2e-7."""


def signature(config: RunConfig) -> str:
    """A hash of what is learned. Equal for the same command with another launcher, machine or micro-batch."""
    text = json.dumps(learned(config), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:SIGNATURE_LENGTH]


def learned(config: RunConfig) -> dict[str, Any]:
    """The settings that the signature covers."""
    plain = to_plain(config)
    sections = {name: plain[name] for name in LEARNED}
    sections["trainer"] = {name: value for name, value in plain["trainer"].items() if name not in NOT_LEARNED}
    sections["data"] = config.data.learned()
    sections["adapter"] = {
        name: value
        for name, value in plain["adapter"].items()
        if name not in ADAPTER_DEFAULTS or value != ADAPTER_DEFAULTS[name]
    }
    if config.adapter.kind == "none":
        sections["adapter"] = {"kind": "none"}
    return sections


def run_folder(config: RunConfig) -> Path:
    """``<run_root>/<name>/<signature>``."""
    return config.run_root / config.name / signature(config)


def rerun_folder(folder: Path, number: int) -> Path:
    """Reruns stand beside the first run's `folder`, as ``<signature>.2``, ``.3`` …; number 1 is the first."""
    return folder if number == 1 else folder.with_name(f"{folder.name}.{number}")


def processes(config: RunConfig, visible_gpus: int) -> int:
    """How many processes train on this machine: one per GPU; without GPUs as many as `resources.tasks` says."""
    gpus, tasks = gpus_used(config, visible_gpus), config.resources.tasks
    if gpus == 0:
        return 1 if tasks == "auto" else tasks
    if tasks not in ("auto", 1, gpus):
        raise ConfigError(
            f"You set resources.tasks={tasks} with {gpus} GPUs, but there is one process per GPU. Leave "
            f"resources.tasks out, or set resources.gpus={tasks}."
        )
    return gpus


def gpus_used(config: RunConfig, visible_gpus: int) -> int:
    """How many of the visible GPUs the run uses; more than are visible if it needs more."""
    return _used(config.resources.gpus, visible_gpus)


def nodes_used(config: RunConfig, nodes: int) -> int:
    """How many of the `nodes` of an allocation the run uses; more than there are if it needs more."""
    return _used(config.resources.nodes, nodes)


def _used(wanted: int | str, there: int) -> int:
    if isinstance(wanted, int):
        return wanted
    return max(wanted.low, min(there, wanted.high)) if isinstance(wanted, Span) else there
