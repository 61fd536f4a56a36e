"""All that is asked of Slurm to tell why a job waits: nine commands at the same time, two more for others' jobs.

While slurmctld schedules, each command waits for it, so they are not asked one after another.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from passingloop.errors import SlurmRefused, SlurmSilent
from passingloop.site import site
from passingloop.slurm import control
from passingloop.slurm.capacity.facts import user_name
from passingloop.slurm.capacity.partition import Partition, read_partitions
from passingloop.slurm.command import run_commands
from passingloop.slurm.notation import seconds
from passingloop.slurm.polling.answer_store import Answer, asked, own_store, polled
from passingloop.slurm.waiting import ceilings, priority_parts, queue_table, supply
from passingloop.slurm.waiting.ceilings import Ceilings
from passingloop.slurm.waiting.priority_parts import PriorityParts
from passingloop.slurm.waiting.queue_table import QueuedJob
from passingloop.slurm.waiting.supply import License, NodeState, Reservation

SCONTROL = ("scontrol", "--all", "--oneliner", "show")


@dataclass(frozen=True, kw_only=True, slots=True)
class Cluster:
    """The queue and the cluster, as this user may see them."""

    jobs: tuple[QueuedJob, ...]
    viewer: str
    """The name of this user."""
    private: frozenset[str] = frozenset()
    """What PrivateData hides from other users: jobs, usage, users, reservations …"""
    partitions: Mapping[str, Partition] = field(default_factory=dict)
    partition_states: Mapping[str, str] = field(default_factory=dict)
    nodes: tuple[NodeState, ...] = ()
    reservations: tuple[Reservation, ...] = ()
    licenses: tuple[License, ...] = ()
    priorities: tuple[PriorityParts, ...] | None = None
    """None where priorities have no parts, or are not shown."""
    half_life: float | None = None
    """Seconds in which use counts for half; None if it does not decay."""
    reset: str = "NONE"
    """PriorityUsageResetPeriod."""
    safe: bool = False
    """Whether a job starts only if its whole time fits into a budget (AccountingStorageEnforce=safe)."""
    ceilings: Ceilings | None = None
    """The limits for this user's jobs; None if slurmctld does not show them."""
    shown: Mapping[str, str] = field(default_factory=dict)
    """The fields of the one job that was asked for beforehand."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Evidence:
    """All that is known about why one job waits."""

    job: QueuedJob
    cluster: Cluster
    now: float
    """Seconds since the epoch."""
    ceilings: Ceilings | None = None
    """None if slurmctld does not show them."""
    fields: Mapping[str, str] = field(default_factory=dict)
    """The job in ``scontrol show job``; empty if it is not shown."""


def read_cluster(job_id: str = "", *, not_before: float = 0.0) -> Cluster:
    """The queue and the cluster, from answers of Slurm that are at most the site's `poll_seconds` old.

    Args:
        job_id: the job about which more will be asked, if it is known beforehand.
        not_before: in seconds since the epoch; Slurm is to have been asked after that, for which this waits.

    Raises:
        MissingError: there is no Slurm here, or it does not answer.
        SlurmRefused: it does not show its queue.
        ConfigError: the site's settings cannot be read.
    """
    viewer, own = user_name(), [("scontrol", "show", "job", job_id)] if job_id else []
    questions: Sequence[Sequence[str]] = (
        queue_table.COMMAND,
        (*SCONTROL, "partition"),
        (*SCONTROL, "node"),
        (*SCONTROL, "reservation"),
        (*SCONTROL, "license"),
        control.CONFIGURATION_COMMAND,
        priority_parts.COMMAND,
        _limits_command(viewer),
    )
    more: list[str | SlurmRefused] = []

    def ask() -> str:
        """Ask all of them at the same time; what is about one job is not kept."""
        answers = run_commands(*questions, *own)
        if isinstance(answers[0], SlurmRefused):
            raise answers[0]
        more[:] = answers[len(questions) :]
        return json.dumps(["" if isinstance(answer, SlurmRefused) else answer for answer in answers[: len(questions)]])

    queue, partitions, nodes, reservations, licenses, config, priorities, limits = _polled(questions, ask, not_before)
    jobs = [answer for answer in more or run_commands(*own) if not isinstance(answer, SlurmRefused)]
    settings = control.config_values(config)
    parts = priority_parts.read_priorities(priorities)
    return Cluster(
        jobs=queue_table.read_queue(queue),
        viewer=viewer,
        private=frozenset(settings.get("PrivateData", "none").lower().split(",")) - {"none"},
        partitions=read_partitions(partitions, nodes),
        partition_states=supply.read_partition_states(partitions),
        nodes=supply.read_node_states(nodes),
        reservations=supply.read_reservations(reservations),
        licenses=supply.read_licenses(licenses),
        priorities=parts or None,
        half_life=seconds(settings.get("PriorityDecayHalfLife", "")) or None,
        reset=settings.get("PriorityUsageResetPeriod", "NONE").upper(),
        safe="safe" in settings.get("AccountingStorageEnforce", "").lower().split(","),
        ceilings=_ceilings(limits, viewer, os.getuid()),
        shown=control.read_job_fields(jobs[0]) if jobs else {},
    )


def read_evidence(cluster: Cluster, job: QueuedJob, now: float) -> Evidence:
    """Ask slurmctld for what is about `job` and its owner alone, and not known yet.

    Raises:
        MissingError: Slurm does not answer.
    """
    limits, fields = cluster.ceilings, cluster.shown
    name = job.number if job.tasks > 1 else job.job_id
    questions: dict[str, Sequence[str]] = {}
    if job.user != cluster.viewer:
        questions["limits"] = _limits_command(job.user)
    if fields.get("JobId") != job.number:
        questions["fields"] = ("scontrol", "show", "job", name)
    answers = dict(zip(questions, run_commands(*questions.values()), strict=True))
    texts = {name: "" if isinstance(answer, SlurmRefused) else answer for name, answer in answers.items()}
    if "limits" in texts:
        limits = _ceilings(texts["limits"], job.user, job.uid)
    if "fields" in texts:
        fields = control.read_job_fields(texts["fields"])
    return Evidence(job=job, cluster=cluster, now=now, ceilings=limits, fields=fields)


def _polled(questions: Sequence[Sequence[str]], ask: Callable[[], str], not_before: float) -> list[str]:
    """The answers to `questions`, which other commands of this user may have asked for."""
    store, seconds_kept = own_store(), site().poll_seconds
    name = f"cluster-{hashlib.sha256(json.dumps(questions).encode()).hexdigest()[:16]}"

    def newest() -> Answer:
        return (polled(store, name, seconds_kept, ask) if store else None) or asked(ask)

    answer = newest()
    if answer.asked < not_before:
        time.sleep(max(0.0, answer.answered + seconds_kept - time.time()) + 0.01)
        answer = newest()
    if answer.text is None:
        raise SlurmSilent("Slurm does not answer. Try again later; running jobs go on.")
    try:
        texts = json.loads(answer.text)
    except ValueError:  # the file is damaged
        texts = json.loads(ask())
    return [str(text) for text in texts]


def _limits_command(user: str) -> Sequence[str]:
    return ("scontrol", "--oneliner", "show", "assoc_mgr", "flags=assoc,qos", f"users={user}")


def _ceilings(text: str, user: str, uid: int) -> Ceilings | None:
    found = ceilings.read_ceilings(text, user, uid)
    return found if found.qos or found.accounts else None
