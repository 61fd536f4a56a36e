"""The header of a run, in words."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from passingloop.config.data import Part
from passingloop.rundir import ledger
from passingloop.rundir.directory import RunDir
from passingloop.rundir.events import Start
from passingloop.tasks.task import Examples
from passingloop.train.learner import Learner
from passingloop.train.loop import Fit
from passingloop.train.material import Material


def describe(
    run: RunDir, attempt: int, material: Material, learner: Learner, fit: Fit, precision: str
) -> dict[str, str]:
    """What is trained, on what, with how much data, and where it is written; a row each.

    Args:
        precision: the number format, and what is known of it, in words.
    """
    config = fit.config
    job = _job(run, attempt)
    rows = {
        "run": str(run.path),
        "model": f"{config.model.path}, {_parameters(learner)}",
        "from": material.origin.place,
        **learner.loaded.facts,
        **({"adapter": learner.adapter} if learner.adapter else {}),
        "data": f"{config.data.source}: {_sizes(material.data.parts)}",
        "texts": _texts(material, learner),
        **_rows(learner),
        "steps": _steps(fit),
        "on": f"{_devices(fit)}, {precision}",
        "pass": str(learner.tuned),
    }
    rows |= {"shared": learner.sharing.words} if learner.sharing.words else {}
    return rows | {"in": job} if job else rows


def _job(run: RunDir, attempt: int) -> str | None:
    """The Slurm job that it runs in, and on which of its nodes."""
    start = next(start for start in ledger.read(run).events_of(Start) if start.attempt == attempt)
    few = ", ".join(start.nodes[:4]) + (f" and {len(start.nodes) - 4} more" if len(start.nodes) > 4 else "")
    return f"Slurm job {start.job_id}, on {few}" if start.job_id else None


def _parameters(learner: Learner) -> str:
    every, trained = learner.parameters
    return f"{_millions(every)} parameters" + (f", {_millions(trained)} trained" if trained < every else "")


def _sizes(parts: Mapping[Part, Examples]) -> str:
    return ", ".join(f"{len(tokens):,} {part}" for part, tokens in parts.items())


def _texts(material: Material, learner: Learner) -> str:
    lengths, labels = material.data.parts["train"].lengths, learner.module.task.description(learner.names)
    tokens = f"{int(lengths.mean())} tokens each, {int(lengths.max())} at most"
    return f"{labels}, {tokens}" if labels else tokens


def _rows(learner: Learner) -> dict[str, str]:
    """How a causal model's texts share rows, and how its loss is computed."""
    module, layout = learner.module, learner.layouts["train"]
    if not module.task.causal:
        return {}
    clauses = [
        f"packed, {layout.row_tokens:,} tokens at most; attention: {layout.attention.description}"
        if layout.row_tokens
        else "a text each, as the model does not keep texts in a row apart"
    ]
    if module.vocabulary_loss:
        clauses.append(f"loss in chunks of {module.vocabulary_loss.chunk:,} tokens")
    return {"rows": "; ".join([*clauses, *(["kernels of Liger"] if learner.liger else [])])}


def _steps(fit: Fit) -> str:
    trainer = fit.config.trainer
    batch = f"{trainer.batch_size} examples" if trainer.batch_size else f"{trainer.batch_tokens:,} tokens"
    resumed = f", from {fit.progress.step:,} on" if fit.progress.step else ""
    return f"{fit.total_steps:,} of {batch}, {fit.order.steps_per_epoch:,} an epoch{resumed}"


def _devices(fit: Fit) -> str:
    size, device = fit.world.size, fit.fabric.device
    if device.type == "cuda":
        return f"{size} × {torch.cuda.get_device_name(device)}"
    threads = torch.get_num_threads()
    return f"CPU, {size} × {threads} threads" if size > 1 else f"CPU, {threads} threads"


def _millions(count: int) -> str:
    return f"{count / 1e6:,.1f} M" if count >= 1e5 else f"{count:,}"
