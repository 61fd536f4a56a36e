"""A run that ``wandb agent`` has started: which run of W&B's sweep it is.

The agent says so in the environment of the command that it starts, and W&B's client then leaves out the id that it is
given. The first attempt keeps it in the run directory, ``wandb/agent.json``, because later attempts, and uploads, have
an environment of their own: those that `passingloop rerun` submits, and `passingloop sync`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from passingloop.files import read_json, write_json

FILE = "agent.json"

VARIABLES = {
    "sweep": "WANDB_SWEEP_ID",
    "run_id": "WANDB_RUN_ID",
    "project": "WANDB_PROJECT",
    "entity": "WANDB_ENTITY",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class AgentRun:
    """A run of a W&B sweep, as the agent names it."""

    sweep: str
    run_id: str
    project: str
    entity: str

    def to_environment(self) -> dict[str, str]:
        """The environment variables by which W&B's client files a run under the sweep."""
        return {name: value for key, name in VARIABLES.items() if (value := getattr(self, key))}


def keep_agent_run(folder: Path, environ: Mapping[str, str]) -> None:
    """Keep in the run directory `folder` which run of a sweep it is, if an agent has started this process.

    Raises:
        OSError: it cannot be written.
    """
    found = {key: environ.get(name, "") for key, name in VARIABLES.items()}
    if found["sweep"] and found["run_id"]:
        (folder / "wandb").mkdir(exist_ok=True)
        write_json(folder / "wandb" / FILE, asdict(AgentRun(**found)))


def agent_run(folder: Path) -> AgentRun | None:
    """The run of a sweep that the run directory `folder` is; None if no agent has started it."""
    try:
        return AgentRun(**read_json(folder / "wandb" / FILE))
    except FileNotFoundError:
        return None
