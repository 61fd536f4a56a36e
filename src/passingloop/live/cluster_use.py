"""What the cluster's GPUs do, by state and by QOS: from Slurm's nodes and jobs. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from passingloop.slurm.waiting.queue_table import QueuedJob
from passingloop.slurm.waiting.supply import NodeState

STATES = ("in use", "reserved", "drained", "down", "idle")
"""Of a GPU, in the order in which they are shown."""

ABSENT = ("FUTURE",)
"""Nodes in these states are not there."""

DOWN = ("DOWN", "FAIL", "NOT_RESPONDING", "*")
"""Of a node that is drained as well."""

OTHERS = "not shown"
"""The QOS of jobs that the site hides from this user (PrivateData), or that end."""


@dataclass(frozen=True, kw_only=True, slots=True)
class QosUse:
    """What the jobs of a QOS have, and what those that wait ask for."""

    name: str
    held: int = 0
    waiting_jobs: int = 0
    asked: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class ClusterUse:
    """The cluster's GPUs; its CPUs, if it has no GPUs that Slurm counts."""

    unit: str
    """GPU or CPU."""
    by_state: Mapping[str, int]
    by_qos: tuple[QosUse, ...]
    """The QOS with most of them first."""
    nodes: int
    nodes_out: int
    """Nodes that are down or drained."""
    own: int = 0
    """What the user's own jobs have, those that are no runs among them."""

    @property
    def total(self) -> int:
        return sum(self.by_state.values())


def cluster_use(nodes: Sequence[NodeState], jobs: Sequence[QueuedJob], uid: int) -> ClusterUse:
    """What `nodes` have by state, and who has it.

    Args:
        uid: the user who looks.
    """
    there = [node for node in nodes if not any(word in node.state for word in ABSENT)]
    resource = "gres/gpu" if any(node.gpus for node in there) else "cpu"
    by_state = dict.fromkeys(STATES, 0)
    for node in there:
        has, held = (node.gpus, node.gpus_held) if resource == "gres/gpu" else (node.cpus, node.cpus_held)
        state = rest_state(node)
        used = 0 if state == "down" else min(int(held), int(has))
        by_state["in use"] += used
        by_state[state] += int(has) - used
    return ClusterUse(
        unit="GPU" if resource == "gres/gpu" else "CPU",
        by_state=by_state,
        by_qos=_by_qos(jobs, resource, by_state["in use"]),
        nodes=len(there),
        nodes_out=sum(rest_state(node) in ("down", "drained") for node in there),
        own=sum(int(job.tres.get(resource, 0)) for job in jobs if job.runs and job.uid == uid),
    )


def rest_state(node: NodeState) -> str:
    """The state of what no job has on the node."""
    if "DRAIN" in node.conditions and not any(word in node.conditions for word in DOWN):
        return "drained"
    if not node.in_service:
        return "down"
    return "reserved" if node.reserved else "idle"


def _by_qos(jobs: Iterable[QueuedJob], resource: str, in_use: int) -> tuple[QosUse, ...]:
    held: dict[str, int] = {}
    waiting: dict[str, int] = {}
    asked: dict[str, int] = {}
    for job in jobs:
        name, amount = job.qos or "no QOS", int(job.tres.get(resource, 0))
        if job.runs:
            held[name] = held.get(name, 0) + amount
        elif job.waits:
            waiting[name] = waiting.get(name, 0) + job.tasks
            asked[name] = asked.get(name, 0) + amount * job.tasks
    rest = in_use - sum(held.values())
    if rest > 0:
        held[OTHERS] = rest
    uses = [
        QosUse(name=name, held=held.get(name, 0), waiting_jobs=waiting.get(name, 0), asked=asked.get(name, 0))
        for name in {*held, *waiting}
    ]
    shown = (use for use in uses if use.held or use.waiting_jobs)
    return tuple(sorted(shown, key=lambda use: (use.name == OTHERS, -use.held, -use.asked, use.name)))
