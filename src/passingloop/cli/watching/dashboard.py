"""``passingloop dashboard``: make or update a W&B workspace and a report for a project.

Both have fixed names, so that the same command again brings them up to date; it replaces what was changed in them.
Curves of learning and of GPUs, the figures of `passingloop report`, and a table of runs with advice.

The key is the one of `wandb login`, or WANDB_API_KEY.
"""

from __future__ import annotations

import argparse
from importlib.util import find_spec

from passingloop.cli.rows import as_json
from passingloop.errors import MissingError
from passingloop.track.wandb_dashboard import make_dashboard
from passingloop.track.wandb_run import INSTALL, is_installed

PROJECT = "passingloop"
"""The default of `tracking.project`."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--project", default=PROJECT, help=f"W&B project, as tracking.project (default: {PROJECT})")
    parser.add_argument("--entity", help="W&B user or team, as tracking.entity (default: that of the key)")
    parser.add_argument("--json", action="store_true", help="print JSON")


def main(arguments: argparse.Namespace) -> int:
    """Print the two URLs. Returns 0.

    Raises:
        MissingError: wandb or wandb-workspaces is not installed, or W&B is not to be had.
    """
    if not (is_installed() and find_spec("wandb_workspaces")):
        raise MissingError(f"wandb and wandb-workspaces make the dashboard, and are not both installed. Run: {INSTALL}")
    made = make_dashboard(arguments.project, arguments.entity)
    if arguments.json:
        print(as_json({"workspace": made.workspace, "report": made.report}))
    else:
        print(f"workspace {made.workspace}\nreport {made.report}")
    return 0
