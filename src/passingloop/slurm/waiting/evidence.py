"""All that is asked of Slurm to tell why a job waits: nine commands at the same time, two more for others' jobs.

While slurmctld schedules, each command waits for it, so they are not asked one after another. What is the same for all
users is shared among those of a node, where the site allows it; the limits of a user are kept for that user.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from passingloop.errors import SlurmRefused, SlurmSilent
from passingloop.site import site
from passingloop.slurm import control
from passingloop.slurm.capacity.facts import user_name
from passingloop.slurm.capacity.partition import Partition, read_partitions
from passingloop.slurm.command import run_commands
from passingloop.slurm.notation import seconds
from passingloop.slurm.polling.answer_store import Answer, own_store
from passingloop.slurm.polling.polled_commands import Command, Question, polled_reply
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
    viewer = user_name()
    about_job: list[Command] = [("scontrol", "show", "job", job_id)] if job_id else []
    limits_command = _limits_command(viewer)
    reply = polled_reply(QUESTION, together_with=(limits_command, *about_job), not_before=not_before)
    if reply.content is None:
        raise SlurmSilent("Slurm does not answer. Try again later; running jobs go on.")
    if reply.others:
        limits, *jobs = reply.others
        _keep_limits(limits_command, limits)
    else:
        known = _kept_limits(limits_command, not_before)
        answers = run_commands(*([limits_command] if known is None else []), *about_job)
        limits, *jobs = answers if known is None else [known, *answers]
        if known is None:
            _keep_limits(limits_command, limits)
    return replace(
        reply.content,
        viewer=viewer,
        ceilings=_ceilings(_text(limits), viewer, os.getuid()),
        shown=control.read_job_fields(_text(jobs[0])) if jobs else {},
    )


def read_evidence(cluster: Cluster, job: QueuedJob, now: float) -> Evidence:
    """Ask slurmctld for what is about `job` and its owner alone, and not known yet.

    Raises:
        MissingError: Slurm does not answer.
    """
    limits, fields = cluster.ceilings, cluster.shown
    name = job.number if job.tasks > 1 else job.job_id
    questions: dict[str, Command] = {}
    if job.user != cluster.viewer:
        questions["limits"] = _limits_command(job.user)
    if fields.get("JobId") != job.number:
        questions["fields"] = ("scontrol", "show", "job", name)
    answers = dict(zip(questions, run_commands(*questions.values()), strict=True))
    texts = {name: _text(answer) for name, answer in answers.items()}
    if "limits" in texts:
        limits = _ceilings(texts["limits"], job.user, job.uid)
    if "fields" in texts:
        fields = control.read_job_fields(texts["fields"])
    return Evidence(job=job, cluster=cluster, now=now, ceilings=limits, fields=fields)


def _read_cluster(texts: Sequence[str]) -> Cluster:
    """The part of the cluster that all users see alike."""
    queue, partitions, nodes, reservations, licenses, config, priorities = texts
    settings = control.config_values(config)
    return Cluster(
        jobs=queue_table.read_queue(queue),
        viewer="",
        private=frozenset(settings.get("PrivateData", "none").lower().split(",")) - {"none"},
        partitions=read_partitions(partitions, nodes),
        partition_states=supply.read_partition_states(partitions),
        nodes=supply.read_node_states(nodes),
        reservations=supply.read_reservations(reservations),
        licenses=supply.read_licenses(licenses),
        priorities=priority_parts.read_priorities(priorities) or None,
        half_life=seconds(settings.get("PriorityDecayHalfLife", "")) or None,
        reset=settings.get("PriorityUsageResetPeriod", "NONE").upper(),
        safe="safe" in settings.get("AccountingStorageEnforce", "").lower().split(","),
    )


QUESTION = Question(
    kind="cluster",
    commands=(
        queue_table.COMMAND,
        (*SCONTROL, "partition"),
        (*SCONTROL, "node"),
        (*SCONTROL, "reservation"),
        (*SCONTROL, "license"),
        control.CONFIGURATION_COMMAND,
        priority_parts.COMMAND,
    ),
    hidden_by=frozenset({"jobs", "nodes", "partitions", "reservations", "usage"}),
    parse=_read_cluster,
    separators=f"\n\t{queue_table.UNIT}",
)


def _kept_limits(command: Command, not_before: float) -> str | None:
    """The limits that this user has asked for in the last `poll_seconds`, and after `not_before`; None if they have
    not."""
    answer = store.fresh(_limits_question(command), site().poll_seconds) if (store := own_store()) else None
    return answer.text if answer and answer.asked >= not_before else None


def _keep_limits(command: Command, limits: str | SlurmRefused) -> None:
    now = time.time()
    if store := own_store():
        store.write(_limits_question(command), Answer(asked=now, answered=now, text=_text(limits)))


def _limits_question(command: Command) -> str:
    return f"limits-{hashlib.sha256(json.dumps(command).encode()).hexdigest()[:16]}"


def _text(answer: str | SlurmRefused) -> str:
    return "" if isinstance(answer, SlurmRefused) else answer


def _limits_command(user: str) -> Command:
    return ("scontrol", "--oneliner", "show", "assoc_mgr", "flags=assoc,qos", f"users={user}")


def _ceilings(text: str, user: str, uid: int) -> Ceilings | None:
    found = ceilings.read_ceilings(text, user, uid)
    return found if found.qos or found.accounts else None
