"""How a run is filed in W&B: its name, its group, its tags, and what else is known about where it comes from.

A run that ``wandb agent`` has started is the run of a W&B sweep. The agent says which in the environment of its
command, and W&B's client then leaves out the id that it is given. The first attempt keeps it in the run directory,
because later attempts, and uploads, have an environment of their own: those that `passingloop rerun` submits, and
`passingloop sync`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from passingloop.config.build import to_plain
from passingloop.config.settings import RunConfig
from passingloop.files import read_json, write_json
from passingloop.rundir import ledger, record
from passingloop.rundir.directory import RunDir
from passingloop.rundir.events import Queued, Start

LONGEST_TAG = 64
"""Characters; W&B refuses longer ones."""

AGENT_FILE = "agent.json"
"""In the folder ``wandb`` of a run directory."""

AGENT_VARIABLES = {
    "sweep": "WANDB_SWEEP_ID",
    "run_id": "WANDB_RUN_ID",
    "project": "WANDB_PROJECT",
    "entity": "WANDB_ENTITY",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Identity:
    """A run as W&B knows it. Attempts, and uploads, of the same run have the same id."""

    run_id: str
    name: str
    group: str
    """The experiment: its runs, such as those of a sweep, are shown together."""
    job_type: str
    """What is learned: the task."""
    tags: tuple[str, ...]
    config: dict[str, Any]
    """The settings; under `passingloop` what the run has learned from, and with which code; under `slurm` its jobs."""


@dataclass(frozen=True, kw_only=True, slots=True)
class AgentRun:
    """A run of a W&B sweep, as the agent names it."""

    sweep: str
    run_id: str
    project: str
    entity: str

    def to_environment(self) -> dict[str, str]:
        """The environment variables by which W&B's client files a run under the sweep."""
        return {name: value for key, name in AGENT_VARIABLES.items() if (value := getattr(self, key))}


def identity_of(run: RunDir, config: RunConfig) -> Identity:
    """The identity of `run`, as far as its attempts have settled it.

    Args:
        config: the settings of the newest attempt.
    """
    signature = run.path.name
    return Identity(
        run_id=signature.replace(".", "-"),
        name=f"{config.name}-{signature}",
        group=config.name,
        job_type=config.task,
        tags=tuple(dict.fromkeys((*config.tracking.tags, *_own_tags(config)))),
        config=to_plain(config) | {"passingloop": _origin(run), "slurm": _jobs(run)},
    )


def _own_tags(config: RunConfig) -> Iterator[str]:
    """Words by which runs of a project are told apart."""
    words = [config.model.path.rstrip("/").rpartition("/")[2], config.launcher.kind]
    words += [config.adapter.kind] if config.adapter.kind != "none" else []
    words += [config.cluster.qos] if config.cluster.qos else []
    yield from (word[:LONGEST_TAG] for word in words if word)


def _origin(run: RunDir) -> dict[str, Any]:
    """What the run has learned from, and with which code."""
    content = record.read(run)
    starts = ledger.read(run).events_of(Start)
    code = starts[-1].code if starts else content["code"]
    return {
        "signature": content["signature"],
        "created": content["created"],
        "precision": content["precision"],
        "data_fingerprint": _digest(content["data_fingerprint"]),
        "model_fingerprint": _digest(content.get("model_fingerprint")),
        "version": code.get("version"),
        "commit": code.get("commit"),
        "uncommitted_changes": code.get("changes"),
    }


def _jobs(run: RunDir) -> dict[str, Any]:
    """The Slurm jobs of the run's attempts; those in a shell inside an allocation as well."""
    history = ledger.read(run)
    starts = history.events_of(Start)
    requests = [queued.request for queued in history.events_of(Queued) if queued.request]
    return {
        "cluster": requests[-1].cluster if requests else None,
        "job_ids": list(dict.fromkeys(start.job_id for start in starts if start.job_id)),
        "submissions": list(dict.fromkeys(start.submission for start in starts if start.submission)),
    }


def _digest(fingerprint: object) -> str | None:
    """A fingerprint as one word: runs with the same word have learned from the same."""
    if fingerprint is None:
        return None
    return hashlib.sha256(json.dumps(fingerprint, sort_keys=True).encode()).hexdigest()[:16]


def keep_agent_run(folder: Path, environ: Mapping[str, str]) -> None:
    """Keep in the run directory `folder` which run of a sweep it is, if an agent has started this process.

    Raises:
        OSError: it cannot be written.
    """
    found = {key: environ.get(name, "") for key, name in AGENT_VARIABLES.items()}
    if found["sweep"] and found["run_id"]:
        (folder / "wandb").mkdir(exist_ok=True)
        write_json(folder / "wandb" / AGENT_FILE, asdict(AgentRun(**found)))


def agent_run(folder: Path) -> AgentRun | None:
    """The run of a sweep that the run directory `folder` is; None if no agent has started it.

    Of a file that another version has written, what this one knows.
    """
    try:
        content = read_json(folder / "wandb" / AGENT_FILE)
    except FileNotFoundError:
        return None
    return AgentRun(**{key: content.get(key, "") for key in AGENT_VARIABLES})
