"""Whether and when the nodes have room for a job: what is free, who holds the rest, what ends first."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import inf

from passingloop.pending.answer import Holder, Release
from passingloop.pending.holders import first_release, holder_of, in_order_of_end
from passingloop.pending.wording import amount_text, count_text
from passingloop.slurm.notation import node_names
from passingloop.slurm.waiting.evidence import Evidence
from passingloop.slurm.waiting.queue_table import QueuedJob
from passingloop.slurm.waiting.supply import NodeState

KINDS = ("gres/gpu", "cpu", "mem")


@dataclass(frozen=True, kw_only=True, slots=True)
class Room:
    """What the nodes of a job's partitions have for it."""

    sentence: str
    holders: tuple[Holder, ...]
    release: Release | None


def room_for(evidence: Evidence) -> Room:
    """What is free for the job, and what ends first on the nodes that it may run on.

    Jobs are taken to hold the same amount on each of their nodes, and to end at their time limits.
    """
    job, now = evidence.job, evidence.now
    nodes = usable_nodes(evidence)
    need = _need(job)
    names = {node.name for node in nodes}
    running = [other for other in evidence.cluster.jobs if other.runs and names & set(other.node_names)]
    what = "gres/gpu" if job.gpus else "cpu"
    holders = in_order_of_end(holder_of(other, other.tres.get(what, 0.0)) for other in running)
    enough_at = _enough_at(job, nodes, need, sorted(running, key=lambda other: other.ends or inf))
    amounts = [amount_text(what, holders[0].amount)] if holders else []
    return Room(
        sentence=_free_sentence(job, nodes, need, what),
        holders=holders,
        release=first_release(holders, now, amounts, enough_at),
    )


def usable_nodes(evidence: Evidence, partitions: Sequence[str] = ()) -> list[NodeState]:
    """The nodes in service of the job's partitions (or of `partitions`); if it asks for some by name, only these."""
    job = evidence.job
    wanted, among = set(node_names(job.required_nodes)), set(partitions or job.partitions)
    return [
        node
        for node in evidence.cluster.nodes
        if node.in_service and among & set(node.partitions) and (not wanted or node.name in wanted)
    ]


def nodes_with_room(evidence: Evidence, partitions: Sequence[str]) -> int:
    """How many nodes of `partitions` have room for the job's part on a node now."""
    need = _need(evidence.job)
    return sum(_fits(node.free, need) for node in usable_nodes(evidence, partitions) if not node.reserved)


def _need(job: QueuedJob) -> dict[str, float]:
    """What the job needs on each node."""
    return {kind: job.tres.get(kind, 0.0) / job.nodes for kind in KINDS}


def _free_sentence(job: QueuedJob, nodes: Sequence[NodeState], need: Mapping[str, float], what: str) -> str:
    where = f"partition {' or '.join(job.partitions)}"
    if not nodes:
        return f"No node of {where} is in service."
    total = sum(node.gpus if what == "gres/gpu" else node.cpus for node in nodes)
    free = sum(node.free[what] for node in nodes)
    fitting = [node for node in nodes if _fits(node.free, need)]
    asked = f"{amount_text(what, need[what])} on {'one node' if job.nodes == 1 else f'each of {job.nodes} nodes'}"
    sentence = f"It asks for {asked}; of {amount_text(what, total)} in {where}, {free:.0f} {_are(free)} free"
    if len(fitting) >= job.nodes:
        return f"{sentence}, which would be enough for it alone: they are kept for jobs ahead of it, or reserved."
    best = max((node.free[what] for node in nodes), default=0.0)
    if free >= need[what] * job.nodes and best < need[what]:
        return f"{sentence}, but no node has more than {best:.0f}."
    if best >= need[what] and (short := _short(nodes, need, what)):
        return f"{sentence}, but where they are there {short}."
    return f"{sentence}."


def _short(nodes: Sequence[NodeState], need: Mapping[str, float], what: str) -> str | None:
    """What is lacking on the nodes that have enough of `what`."""
    near = [node for node in nodes if node.free[what] >= need[what]]
    for kind in KINDS:
        if all(node.free[kind] < need[kind] for node in near):
            most = max(node.free[kind] for node in near)
            return f"are only {amount_text(kind, most)} free, and it asks for {amount_text(kind, need[kind])}"
    return None


def _enough_at(
    job: QueuedJob, nodes: Sequence[NodeState], need: Mapping[str, float], running: Sequence[QueuedJob]
) -> float | None:
    """When enough nodes have room, as the running jobs end one after another; None if they have it now, or not then."""
    free = {node.name: dict(node.free) for node in nodes}
    fitting = {name for name, here in free.items() if _fits(here, need)}
    for other in running:
        if other.ends is None or len(fitting) >= job.nodes:
            return None
        for name in free.keys() & set(other.node_names):
            for kind in KINDS:
                free[name][kind] += other.tres.get(kind, 0.0) / other.nodes
            if _fits(free[name], need):
                fitting.add(name)
        if len(fitting) >= job.nodes:
            return other.ends
    return None


def _fits(free: Mapping[str, float], need: Mapping[str, float]) -> bool:
    return all(free[kind] >= need[kind] for kind in KINDS)


def _are(number: float) -> str:
    return "is" if number == 1 else "are"


def outage_facts(evidence: Evidence, names: Iterable[str] = ()) -> tuple[str, ...]:
    """A sentence for each node that is out of service, of `names` or else of the job's partitions."""
    wanted, partitions = set(names), set(evidence.job.partitions)
    out = [
        node
        for node in evidence.cluster.nodes
        if (node.name in wanted if wanted else set(node.partitions) & partitions) and not node.in_service
    ]
    shown = [f"Node {node.name} is {node.state}{f': {node.reason}' if node.reason else ''}." for node in out[:5]]
    more = [f"{count_text(len(out) - 5, 'more node')} of the partition are out of service."] if len(out) > 5 else []
    return (*shown, *more)
