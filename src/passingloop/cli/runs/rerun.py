"""``passingloop rerun``: submit again what failed, was lost, interrupted or cancelled, or was never submitted.

Each run continues from its last checkpoint, with the settings that it was last launched or submitted with.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from passingloop.cli.selection import add_runs, known_rests, selected_entries
from passingloop.config.build import build
from passingloop.config.running import LauncherConfig
from passingloop.config.settings import RunConfig
from passingloop.errors import ConfigError
from passingloop.files import read_json
from passingloop.plan import signature
from passingloop.rundir import ledger, record
from passingloop.rundir.directory import RunDir
from passingloop.rundir.events import Queued, Start
from passingloop.rundir.submission import submitted_task
from passingloop.status.query import states_of
from passingloop.text import say

FAILED = ("failed", "lost", "missing")
STOPPED = ("cancelled", "interrupted")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_runs(parser, json=False)
    parser.add_argument("--failed", action="store_true", help="not what was cancelled or interrupted")


def main(arguments: argparse.Namespace) -> int:
    """Submit; the directories of the runs on stdout. Returns 0 also where there is nothing to submit.

    Raises:
        ConfigError: a word names no run, or the cluster would not run one of them.
        MissingError: Slurm is not here, or does not answer.
    """
    kinds = FAILED if arguments.failed else FAILED + STOPPED
    entries = selected_entries(arguments)
    states = states_of([entry.run for entry in entries], known_rests(entries))
    runs = [state.run for state in states if state.kind in kinds and not _is_superseded(state.run)]
    if not runs:
        say(f"None of these runs is {', '.join(kinds[:-1])} or {kinds[-1]}: nothing to submit.")
        return 0
    from passingloop.submit.runs import submit  # brings submitit, of which the other verbs have no need

    return submit([last_config(run) for run in runs])


def last_config(run: RunDir) -> RunConfig:
    """The settings that `run` was last launched or submitted with, else those it was created with; for Slurm.

    Raises:
        ConfigError: this version of passingloop has other settings, so that it would be another run.
    """
    config = replace(
        build(RunConfig, _last_settings(run)),
        name=run.path.parent.name,  # both as they are now, if the folder was moved
        run_root=run.path.parents[1],
        launcher=LauncherConfig(kind="slurm"),
        rerun=False,
        dry_run=False,
        estimate=False,
    )
    if signature(config) != _place(run)[0]:
        raise ConfigError(
            f"{run.path} was made by another version of passingloop, to which its settings are those of another run. "
            "Continue it with that version."
        )
    return config


def _last_settings(run: RunDir) -> Mapping[str, Any]:
    settings: Mapping[str, Any] | None = None
    match ledger.read(run).newest_launch:
        case Queued():
            task = submitted_task(run)
            settings = task.settings if task else None
        case Start(attempt=attempt) if run.launch(attempt).exists():
            settings = read_json(run.launch(attempt))
    return settings or dict(record.read(run)["config"])


def _place(run: RunDir) -> tuple[str, int]:
    """The signature, and which run of that signature it is."""
    signed, _, number = run.path.name.partition(".")
    return signed, int(number or 1)


def _is_superseded(run: RunDir) -> bool:
    """Whether rerun=true has started the same afresh, which the same command would continue instead."""
    signed, number = _place(run)
    return RunDir(run.path.with_name(f"{signed}.{number + 1}")).record.exists()
