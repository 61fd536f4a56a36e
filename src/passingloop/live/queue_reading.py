"""The queue and the nodes, from answers of Slurm that all who watch them share where the site allows it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from passingloop.slurm.polling.polled_commands import Question
from passingloop.slurm.waiting import queue_table, supply
from passingloop.slurm.waiting.evidence import SCONTROL
from passingloop.slurm.waiting.queue_table import QueuedJob
from passingloop.slurm.waiting.supply import NodeState

ALONE_SECONDS = 30.0
"""Where users do not share Slurm's answers, each asks only so often: a hundred of them are a hundred commands."""

IDLE_SECONDS, IDLE_PACE = 600.0, 60.0
"""If no key was pressed for so long, Slurm is asked only so often."""


@dataclass(frozen=True, slots=True)
class Queue:
    """All jobs and nodes that Slurm shows this user."""

    jobs: tuple[QueuedJob, ...]
    nodes: tuple[NodeState, ...]


def read_queue_and_nodes(texts: Sequence[str]) -> Queue:
    """Parse the outputs of the commands of `QUESTION`."""
    jobs, nodes = texts
    return Queue(queue_table.read_queue(jobs), supply.read_node_states(nodes))


QUESTION = Question(
    kind="queue",
    commands=(queue_table.COMMAND, (*SCONTROL, "node")),
    hidden_by=frozenset({"jobs", "nodes"}),
    parse=read_queue_and_nodes,
    separators=f"\n\t{queue_table.UNIT}",
)


def pause(poll_seconds: float, interval: float, *, shared: bool, untouched: float) -> float:
    """Seconds until Slurm is asked again.

    Args:
        poll_seconds: the site's setting.
        interval: what the user asked for.
        shared: whether other users have the same answer.
        untouched: seconds since a key was pressed.
    """
    least = max(poll_seconds, interval) if shared else max(poll_seconds, interval, ALONE_SECONDS)
    return max(least, IDLE_PACE) if untouched > IDLE_SECONDS else least
