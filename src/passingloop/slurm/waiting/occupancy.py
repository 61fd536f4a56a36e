"""The queue and the nodes at one time: who has the cluster's GPUs, and what waits for them."""

from __future__ import annotations

import json
from dataclasses import dataclass

from passingloop.errors import SlurmRefused, SlurmSilent
from passingloop.site import site
from passingloop.slurm.command import run_commands
from passingloop.slurm.polling.answer_store import asked, own_store, polled
from passingloop.slurm.waiting import queue_table, supply
from passingloop.slurm.waiting.queue_table import QueuedJob
from passingloop.slurm.waiting.supply import NodeState

NODES_COMMAND = ("scontrol", "--all", "--oneliner", "show", "node")

QUESTION = "occupancy"
"""The name under which the answers are kept."""


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
    store = own_store()
    answer = (polled(store, QUESTION, site().poll_seconds, _ask) if store else None) or asked(_ask)
    if answer.text is None:
        raise SlurmSilent("Slurm does not answer. Try again later; running jobs go on.")
    try:
        queue, nodes = json.loads(answer.text)
    except ValueError:  # the file is damaged
        queue, nodes = json.loads(_ask())
    return Occupancy(asked=answer.asked, jobs=queue_table.read_queue(queue), nodes=supply.read_node_states(nodes))


def _ask() -> str:
    answers = run_commands(queue_table.COMMAND, NODES_COMMAND)
    for answer in answers:
        if isinstance(answer, SlurmRefused):
            raise answer
    return json.dumps(answers)
