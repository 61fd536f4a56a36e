"""Makes or updates a project's workspace and report in W&B, in a process of its own."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

from passingloop.errors import MissingError
from passingloop.track import wandb_dashboard_child
from passingloop.track.line_process import Message
from passingloop.track.wandb_run import start_child
from passingloop.track.wandb_upload import remedy

SECONDS = 120.0
"""Time limit for W&B."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Dashboard:
    """The URLs of what was made."""

    workspace: str
    report: str


def make_dashboard(project: str, entity: str | None, *, seconds: float = SECONDS) -> Dashboard:
    """Make the workspace and the report of `project`, or bring those that are there up to date.

    Args:
        entity: a user or team; None is the default of the key.

    Raises:
        MissingError: W&B is not to be had: there is no key, or the host does not answer, or refuses.
    """
    with tempfile.TemporaryDirectory(prefix="passingloop-wandb-") as scratch:
        process = start_child(wandb_dashboard_child.__file__, Path(scratch))
        try:
            process.send({"entity": entity, "project": project})
            messages = process.remaining_messages(seconds)
        finally:
            process.kill()
    said: Message = messages[-1] if messages else {"refused": f"it has not answered within {seconds:g} s"}
    if "refused" in said:
        raise MissingError(f"W&B cannot be used: {said['refused']}. {remedy(said['refused'])}")
    return Dashboard(workspace=said["workspace"], report=said["report"])
