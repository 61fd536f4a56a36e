"""``passingloop promote``: submit an experiment at production size, with the settings and the code it was tried with.

The differences are printed first. Unless an override says otherwise: all data (data.limit=null), all GPUs of a node,
and the QOS of production jobs, if the cluster has it. Overrides are those of `python train.py`.
"""

from __future__ import annotations

import argparse
import functools
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from passingloop.cli.runs.rerun import last_config
from passingloop.cli.selection import add_root, single_run
from passingloop.cli.train import check_data_here
from passingloop.config.build import to_plain
from passingloop.config.settings import RunConfig
from passingloop.errors import ConfigError
from passingloop.plan import signature
from passingloop.report.differences import setting_differences, setting_lines
from passingloop.rundir import ledger, record
from passingloop.rundir.code import Code, FrozenCode, code_identity
from passingloop.rundir.directory import RunDir
from passingloop.rundir.events import Start
from passingloop.rundir.submission import submitted_code, submitted_task
from passingloop.site import Production, site
from passingloop.slurm.capacity.facts import Facts, cluster_facts
from passingloop.status.query import states_of
from passingloop.text import say


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", metavar="RUN", help="a run's directory or signature, or an experiment with one run")
    parser.add_argument("overrides", nargs="*", help="settings to change, as for train.py")
    add_root(parser)
    parser.add_argument("--dry-run", action="store_true", help="show differences and batch script; submit nothing")
    parser.add_argument("--current-code", action="store_true", help="run the code as it is now, not the experiment's")


def main(arguments: argparse.Namespace) -> int:
    """Print what differs from the experiment, and submit; the run's directory on stdout. Returns the exit code.

    Raises:
        ConfigError: the word names no run or an active one, an override is wrong, the cluster would not run it, or the
            experiment's code is not to be had.
        MissingError: Slurm is not here, or does not answer.
    """
    run = single_run(arguments.run, arguments.run_root)
    [state] = states_of([run])
    if state.kind in ("running", "pending"):
        raise ConfigError(
            f"{run.path} is {state.kind}. Wait until it has ended, or stop it with `passingloop cancel {run.path}`."
        )
    experiment = last_config(run)
    words = [*production_words(experiment, site().production, cluster_facts()), *arguments.overrides]
    from passingloop.config.overrides import overridden  # brings Hydra

    config = replace(overridden(experiment, words, Path.cwd()), dry_run=arguments.dry_run)
    source = FrozenCode.of_package if arguments.current_code else functools.partial(experiment_code, run)
    say("\n".join(_announcement(run, experiment, config)))
    sizes = check_data_here([config])
    from passingloop.submit.runs import submit  # as in `rerun`

    return submit([config], lambda data: sizes.get(data.unlimited()), source)


def production_words(experiment: RunConfig, production: Production, cluster: Facts) -> list[str]:
    """The overrides that make production size of an experiment."""
    partition = production.partition or experiment.cluster.partition
    gpus = production.gpus or max(
        (node.gpus for part in cluster.named_partitions(partition) for node in part.nodes), default=0
    )
    words = [f"{key}=null" for key in _limits(to_plain(experiment)["data"], "data")]
    words += [f"resources.gpus={gpus}", "resources.tasks=auto", "resources.cpus=auto"]
    if production.qos in cluster.qos:
        words.append(f"cluster.qos={production.qos}")
    words += [f"cluster.partition={partition}"] if production.partition else []
    return words + ([f"resources.time={production.time}"] if production.time else [])


def _limits(data: Mapping[str, Any], key: str) -> list[str]:
    """The settings of a data section that limit how many examples are used."""
    names = [f"{key}.limit"] if data.get("limit") is not None else []
    for name, value in data.items():
        if isinstance(value, Mapping):
            names += _limits(value, f"{key}.{name}")
    return names


def _announcement(run: RunDir, experiment: RunConfig, config: RunConfig) -> Sequence[str]:
    lines = [f"{run.path} with these differences:"]
    plain = [to_plain(replace(settings, dry_run=False)) for settings in (experiment, config)]
    lines += [f"  {line}" for line in setting_lines(setting_differences(*plain))]
    if signature(config) == signature(experiment):
        lines.append("What is learned stays the same, so it is the same run: it continues from its last checkpoint.")
    else:
        lines.append("Something else is learned, so it is another run, which begins at step 0.")
    return lines


def experiment_code(run: RunDir, folder: Path) -> FrozenCode:
    """The code that `run` was last launched or submitted with; frozen code is kept in `folder`.

    Raises:
        ConfigError: it was not kept.
    """
    newest = ledger.read(run).newest_launch
    if newest and newest.submission and (task := submitted_task(run)) and (frozen := submitted_code(run)):
        return FrozenCode(frozen, {}, lambda: task.code)
    code: Code = newest.code if isinstance(newest, Start) else record.read(run)["code"]
    if code == code_identity():
        return FrozenCode.of_package(folder)
    if committed := FrozenCode.of_version(folder, code):
        return committed
    changed = " with changes that were not committed" if code["changes"] else ""
    raise ConfigError(
        f"{run.path} was trained by the code of {_name(code)}{changed}, which is not kept here. Check it out again, or "
        "add --current-code to use the code as it is now."
    )


def _name(code: Code) -> str:
    return f"commit {code['commit'][:12]}" if code["commit"] else f"version {code['version']}"
