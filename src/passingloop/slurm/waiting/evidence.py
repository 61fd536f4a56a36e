"""All that is asked of Slurm to tell why a job waits: eight commands at the same time, and two more for its owner."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from passingloop.errors import SlurmRefused
from passingloop.slurm import control
from passingloop.slurm.command import run_commands
from passingloop.slurm.facts import user_name
from passingloop.slurm.notation import seconds
from passingloop.slurm.partition import Partition, read_partitions
from passingloop.slurm.waiting import ceilings, demand, priority_parts, supply
from passingloop.slurm.waiting.ceilings import Ceilings
from passingloop.slurm.waiting.demand import QueuedJob
from passingloop.slurm.waiting.priority_parts import PriorityParts
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


def read_cluster() -> Cluster:
    """Ask slurmctld for the queue and the cluster.

    Raises:
        MissingError: there is no Slurm here, or it does not answer.
        SlurmRefused: it does not show its queue.
    """
    questions: Sequence[Sequence[str]] = (
        demand.COMMAND,
        (*SCONTROL, "partition"),
        (*SCONTROL, "node"),
        (*SCONTROL, "reservation"),
        (*SCONTROL, "license"),
        control.CONFIGURATION_COMMAND,
        priority_parts.COMMAND,
    )
    answers = run_commands(*questions)
    if isinstance(answers[0], SlurmRefused):
        raise answers[0]
    queue, partitions, nodes, reservations, licenses, config, priorities = (
        "" if isinstance(answer, SlurmRefused) else answer for answer in answers
    )
    settings = control.config_values(config)
    parts = priority_parts.read_priorities(priorities)
    return Cluster(
        jobs=demand.read_queue(queue),
        viewer=user_name(),
        private=frozenset(settings.get("PrivateData", "none").lower().split(",")) - {"none"},
        partitions=read_partitions(partitions, nodes),
        partition_states=supply.read_partition_states(partitions),
        nodes=supply.read_node_states(nodes),
        reservations=supply.read_reservations(reservations),
        licenses=supply.read_licenses(licenses),
        priorities=parts or None,
        half_life=seconds(settings.get("PriorityDecayHalfLife", "")) or None,
        reset=settings.get("PriorityUsageResetPeriod", "NONE").upper(),
    )


def read_evidence(cluster: Cluster, job: QueuedJob, now: float) -> Evidence:
    """Ask slurmctld for what is about `job` and its owner alone.

    Raises:
        MissingError: Slurm does not answer.
    """
    name = job.number if job.tasks > 1 else job.job_id
    policy, shown = run_commands(
        ("scontrol", "--oneliner", "show", "assoc_mgr", "flags=assoc,qos", f"users={job.user}"),
        ("scontrol", "show", "job", name),
    )
    limits = None if isinstance(policy, SlurmRefused) else ceilings.read_ceilings(policy, job.user, job.uid)
    return Evidence(
        job=job,
        cluster=cluster,
        now=now,
        ceilings=limits if limits and (limits.qos or limits.accounts) else None,
        fields={} if isinstance(shown, SlurmRefused) else control.read_job_fields(shown),
    )
