"""From inside a job: a new job for the same run, with the same frozen code, that asks for something else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from passingloop.config.build import to_plain
from passingloop.config.settings import RunConfig
from passingloop.rundir.events import Decision
from passingloop.rundir.submission import Submission
from passingloop.rundir.tasks import TrainTask
from passingloop.slurm import notation
from passingloop.slurm.capacity.facts import cluster_facts
from passingloop.submit.fitting import fit, yielded
from passingloop.submit.request import request
from passingloop.submit.sbatch import WHEN, submit_tasks
from passingloop.submit.sizes import Size

OTHER_MEMORY = {"mem-per-cpu", "mem-per-gpu"}
"""Options of sbatch that contradict ``--mem``."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Own:
    """The job that a run leaves."""

    nodes: Sequence[str]
    gpus: int
    """Per node."""
    priority: int
    partition: str
    makes_way: bool
    """Whether it was preempted: what it has is promised to another job."""
    holds: bool
    """Whether Slurm counts its GPUs as in use: not so once it has been requeued, while its processes are ending."""


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
    config, facts, home = changed(task.config, decision), cluster_facts(), submission.home
    asked = request(config, facts)
    if decision.nodes is not None and decision.gpus is not None:
        asked = request(config, facts, Size(decision.nodes, decision.gpus))
    elif config.resources.is_ranged and (fitted := fit(config, task.run, facts, home, code)):
        asked = fitted.request
    with home.lock():
        again = replace(task, settings=to_plain(config))
        job = submit_tasks([again], asked, home, code, after=decision.attempt, cluster=facts.cluster)
    return job.job_id


def other_size(task: TrainTask, submission: Submission, code: Path, own: Own, attempt: int) -> Decision | None:
    """The decision to go on with another size, if the run finishes sooner with it than with that of its job.

    Args:
        own: that job.
        attempt: which has ended.

    Raises:
        MissingError: Slurm does not answer.
    """
    config, facts, left = task.config, cluster_facts(), None
    if own.makes_way:
        left = yielded(own.nodes, own.gpus if own.holds else 0, own.priority, own.partition, facts)
    here = Size(len(own.nodes), own.gpus)
    fitted = fit(config, task.run, facts, submission.home, code, left, here, here.nodes * here.gpus if own.holds else 0)
    if fitted is None or fitted.size == here:
        return None
    size = fitted.size
    return Decision(attempt=attempt, action="resubmit", reason=fitted.sentence, nodes=size.nodes, gpus=size.gpus)


def changed(config: RunConfig, decision: Decision) -> RunConfig:
    """The settings with the memory that was decided on, and without the nodes that have failed."""
    resources = replace(config.resources, mem=decision.mem or config.resources.mem)
    left_out = {*WHEN, *OTHER_MEMORY} if decision.mem else {*WHEN}  # what it had to wait for is over: it has begun
    extra = {key: value for key, value in config.cluster.extra.items() if key.replace("_", "-") not in left_out}
    if decision.exclude:
        before = notation.node_names(str(extra.get("exclude", "")))
        extra["exclude"] = ",".join(dict.fromkeys([*before, *decision.exclude]))
    return replace(config, resources=resources, cluster=replace(config.cluster, extra=extra))
