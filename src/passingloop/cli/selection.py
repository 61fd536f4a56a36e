"""Which runs a command is about: ``[RUN|NAME|JOBID ...]`` on its command line become run directories."""

from __future__ import annotations

import argparse
import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from passingloop.config.build import did_you_mean
from passingloop.errors import ConfigError
from passingloop.rundir import ledger
from passingloop.rundir.directory import RunDir
from passingloop.rundir.submission import Home
from passingloop.submit.repair import repair_if_possible
from passingloop.text import list_excerpt, say

JOB = re.compile(r"\d+(_\d+)?")
SHORTEST = 4
"""Digits of a signature that will do for it, if no other run's begins with them."""


def add_runs(parser: argparse.ArgumentParser, *, json: bool = True) -> None:
    """The arguments that all verbs about runs have."""
    parser.add_argument(
        "runs",
        nargs="*",
        metavar="RUN|NAME|JOBID",
        help="a run's directory or signature (its first digits will do), an experiment's name, or a Slurm job; "
        "without any, all of your runs",
    )
    add_root(parser)
    if json:
        parser.add_argument("--json", action="store_true", help="print JSON")


def add_root(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--run-root",
        metavar="DIR",
        type=Path,
        default=Path(os.environ.get("PASSINGLOOP_RUN_ROOT") or "runs"),
        help="the folder of all runs (default: $PASSINGLOOP_RUN_ROOT, else runs)",
    )


def selected_runs(arguments: argparse.Namespace) -> list[RunDir]:
    """The runs that the command line names, each once; where that is none at all, it is said.

    What a command that died while submitting has left is brought to its end first.

    Raises:
        ConfigError: a word names no run.
    """
    root = arguments.run_root.expanduser().absolute()
    repair_if_possible(Home.for_user(root))
    runs = found_runs(arguments.runs, root)
    if not runs:
        say(f"You have no runs under {root}. --run-root or PASSINGLOOP_RUN_ROOT names another folder.")
    return runs


def found_runs(words: Sequence[str], root: Path) -> list[RunDir]:
    """The runs that `words` name, each once; without words all of this user's.

    Raises:
        ConfigError: a word names no run.
    """
    if words:
        return list(dict.fromkeys(run for word in words for run in runs_named(word, root)))
    return _own_runs(_all_runs(root))


def single_run(word: str, root: Path) -> RunDir:
    """The run that `word` names.

    Raises:
        ConfigError: it names none, or several.
    """
    runs = runs_named(word, root.expanduser().absolute())
    if len(runs) > 1:
        raise ConfigError(f"{word} names {len(runs)} runs, but one is asked for. Name one of them: {_run_list(runs)}.")
    return runs[0]


def runs_named(word: str, root: Path) -> list[RunDir]:
    """The runs that `word` names: a directory, an experiment, a job, or a signature.

    Raises:
        ConfigError: it names none, or is the beginning of several signatures.
    """
    for folder in (root / word, Path(os.path.normpath(Path(word).absolute()))):
        if _creation_time(RunDir(folder)):
            return [RunDir(folder)]
        if runs := _runs_in(folder):
            return _own_runs(runs) or runs
    every = _all_runs(root)
    if JOB.fullmatch(word) and (runs := [run for run in every if _has_job(run, word)]):
        return runs
    if runs := [run for run in every if run.path.name == word]:
        return runs
    runs = [run for run in every if run.path.name.startswith(word)] if len(word) >= SHORTEST else []
    if len(runs) > 1:
        raise ConfigError(
            f"{word} is the beginning of the signatures of {len(runs)} runs. Give more of it: {_run_list(runs)}."
        )
    if not runs:
        known = {name for run in every for name in (run.path.parent.name, run.path.name)}
        raise ConfigError(
            f"{word} is no run, no name of an experiment and no job under {root}.{did_you_mean(word, sorted(known))}"
            " `passingloop status` lists your runs."
        )
    return runs


def _all_runs(root: Path) -> list[RunDir]:
    """Every run under `root`, by name and time of creation."""
    return [run for folder in sorted(_folders(root)) for run in _runs_in(folder)]


def _runs_in(folder: Path) -> list[RunDir]:
    """The runs of the experiment whose folder it is, oldest first."""
    runs = {run: created for run in map(RunDir, _folders(folder)) if (created := _creation_time(run))}
    return sorted(runs, key=lambda run: (runs[run], run.path.name))


def _creation_time(run: RunDir) -> int | None:
    """When the run was created, in nanoseconds since the epoch; None if it is none, or closed to us."""
    try:
        recorded = run.record.stat().st_mtime_ns
        return run.config.stat().st_mtime_ns if run.config.exists() else recorded  # the record is written once more
    except OSError:
        return None


def _folders(folder: Path) -> list[Path]:
    try:
        with os.scandir(folder) as entries:
            folders = [entry for entry in entries if entry.is_dir()]
    except OSError:  # it is not there, or closed to us
        return []
    return [Path(entry.path) for entry in folders if not entry.name.startswith(".passingloop")]


def _own_runs(runs: Iterable[RunDir]) -> list[RunDir]:
    """Several users may share a run root."""
    return [run for run in runs if run.path.stat().st_uid == os.getuid()]


def _has_job(run: RunDir, job_id: str) -> bool:
    ids = {launch.job_id for launch in ledger.read(run).launches if launch.job_id}
    return job_id in ids or any(name.partition("_")[0] == job_id for name in ids)


def _run_list(runs: Sequence[RunDir]) -> str:
    return list_excerpt([run.path for run in runs], 5)
