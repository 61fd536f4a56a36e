"""From inside a job: a new job for the same run, with the same frozen code, that asks for something else."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from passingloop.config.build import to_plain
from passingloop.config.settings import RunConfig
from passingloop.rundir.ledger import Decision
from passingloop.rundir.submission import Submission
from passingloop.rundir.tasks import TrainTask
from passingloop.slurm import notation
from passingloop.slurm.facts import cluster_facts
from passingloop.submit.request import request
from passingloop.submit.sbatch import submit_tasks

OTHER_MEMORY = {"mem-per-cpu", "mem-per-gpu"}
"""Options of sbatch that contradict ``--mem``."""

WHEN = {"hold", "begin", "dependency"}
"""Options that say what a run has to wait for before it begins: it has begun."""


def resubmit(task: TrainTask, submission: Submission, code: Path, decision: Decision) -> str:
    """Submit what `decision` says. Returns the new job's id.

    Args:
        task: what this job was to do.
        submission: the one that brought this job into the queue.
        code: the folder of its frozen code.

    Raises:
        ConfigError: the cluster would not run it.
        MissingError: Slurm does not answer, or is not to be called from here.
    """
    config = changed(task.config, decision)
    with submission.home.lock():
        again = replace(task, settings=to_plain(config))
        job = submit_tasks([again], request(config, cluster_facts()), submission.home, code, after=decision.attempt)
    return job.job_id


def changed(config: RunConfig, decision: Decision) -> RunConfig:
    """The settings with the memory that was decided on, and without the nodes that have failed."""
    resources = replace(config.resources, mem=decision.mem or config.resources.mem)
    left_out = WHEN | OTHER_MEMORY if decision.mem else WHEN
    extra = {key: value for key, value in config.cluster.extra.items() if key.replace("_", "-") not in left_out}
    if decision.exclude:
        before = notation.node_names(str(extra.get("exclude", "")))
        extra["exclude"] = ",".join(dict.fromkeys([*before, *decision.exclude]))
    return replace(config, resources=resources, cluster=replace(config.cluster, extra=extra))
