"""The queue and the nodes at one time: who has the cluster's GPUs, and what waits for them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from passingloop.errors import SlurmRefused, SlurmSilent
from passingloop.slurm.polling.polled_commands import Question, polled_reply
from passingloop.slurm.waiting import queue_table, supply
from passingloop.slurm.waiting.queue_table import QueuedJob
from passingloop.slurm.waiting.supply import NodeState

NODES_COMMAND = ("scontrol", "--all", "--oneliner", "show", "node")


@dataclass(frozen=True, kw_only=True, slots=True)
class Occupancy:
    """All jobs that Slurm shows to this user, and all nodes."""

    asked: float
    """When Slurm was asked, in seconds since the epoch."""
    jobs: tuple[QueuedJob, ...]
    nodes: tuple[NodeState, ...]


def polled_occupancy() -> Occupancy:
    """Queue and nodes, as they were at most the site's `poll_seconds` ago: two commands at the same time.

    Raises:
        MissingError: there is no Slurm here, or it does not answer.
        SlurmRefused: it does not show its queue or its nodes.
        ConfigError: the site's settings cannot be read.
    """
    reply = polled_reply(QUESTION)
    if reply.content is None:
        raise SlurmSilent("Slurm does not answer. Try again later; running jobs go on.")
    jobs, nodes = reply.content
    if not nodes:
        raise SlurmRefused("Slurm does not show its nodes to this user.")
    return Occupancy(asked=reply.asked, jobs=jobs, nodes=nodes)


def _read(texts: Sequence[str]) -> tuple[tuple[QueuedJob, ...], tuple[NodeState, ...]]:
    queue, nodes = texts
    return queue_table.read_queue(queue), supply.read_node_states(nodes)


QUESTION = Question(
    kind="occupancy",
    commands=(queue_table.COMMAND, NODES_COMMAND),
    hidden_by=frozenset({"jobs", "nodes", "partitions"}),
    parse=_read,
    separators=f"\n\t{queue_table.UNIT}",
)
