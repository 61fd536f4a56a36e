"""From inside a job: a new job for the same run, with the same frozen code, that asks for something else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from passingloop.config.build import build, to_plain
from passingloop.config.settings import RunConfig
from passingloop.errors import ConfigError
from passingloop.rundir.layout import RunDir
from passingloop.rundir.ledger import Decision
from passingloop.rundir.submission import submission_of
from passingloop.slurm import notation
from passingloop.slurm.facts import facts
from passingloop.submit.request import request
from passingloop.submit.runs import alone
from passingloop.submit.sbatch import Sbatch

OTHER_MEMORY = {"mem-per-cpu", "mem-per-gpu"}
"""Options of sbatch that contradict ``--mem``."""

WHEN = {"hold", "begin", "dependency"}
"""Options that say what a run has to wait for before it begins: it has begun."""


def resubmit(run: RunDir, task: Mapping[str, Any], submission: str, code: Path, decision: Decision) -> str:
    """Submit what `decision` says. Returns the new job's id.

    Args:
        task: what this job was to do.
        submission: the one that brought this job into the queue.
        code: the folder of its frozen code.

    Raises:
        ConfigError: the cluster would not run it.
        MissingError: Slurm does not answer, or is not to be called from here.
    """
    config = changed(build(RunConfig, task["config"]), decision)
    home = submission_of(run, submission).home
    with alone(home):
        asked, new = request(config, facts()), home.new()
        new.intend([run], [{**task, "config": to_plain(config)}], after=decision.attempt)
        try:
            job_id = Sbatch(asked, new, code, 1, None).hand_over()
        except ConfigError:
            new.give_up()
            raise
        new.accept(job_id)
    return job_id


def changed(config: RunConfig, decision: Decision) -> RunConfig:
    """The settings with the memory that was decided on, and without the nodes that have failed."""
    resources = replace(config.resources, mem=decision.mem or config.resources.mem)
    left_out = WHEN | OTHER_MEMORY if decision.mem else WHEN
    extra = {key: value for key, value in config.cluster.extra.items() if key.replace("_", "-") not in left_out}
    if decision.exclude:
        before = notation.expand(str(extra.get("exclude", "")))
        extra["exclude"] = ",".join(dict.fromkeys([*before, *decision.exclude]))
    return replace(config, resources=resources, cluster=replace(config.cluster, extra=extra))
