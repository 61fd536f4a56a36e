"""From the queue and the nodes to figures of the cluster; pure.

Each figure is a number for each combination of labels. The labels are states of GPUs, reason codes of Slurm, and QOS,
so that there are tens of them, whatever the number of jobs; accounts and users only where they are asked for.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from passingloop.slurm.waiting.occupancy import Occupancy
from passingloop.slurm.waiting.queue_table import QueuedJob
from passingloop.slurm.waiting.supply import NodeState

GpuState = Literal["allocated", "idle", "unavailable"]

Label = Literal["qos", "account", "user"]
"""By what jobs are counted."""

NOT_SHOWN = "(not shown)"
"""The QOS, account and user of GPUs whose jobs Slurm does not show to this user (PrivateData)."""

REASON = re.compile(r"[A-Za-z]\w*")
"""The code at the beginning of what squeue prints as reason; names of nodes may follow it."""

Key = tuple[str, ...]
"""The values of the labels, in their order."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Occupation:
    """What the GPUs of the cluster do now, and what waits for them."""

    labels: tuple[Label, ...]
    gpus: Mapping[GpuState, float]
    """All GPUs. Those that a job holds on a node that is to go out of service are allocated."""
    gpus_allocated: Mapping[Key, float]
    gpus_requested: Mapping[Key, float]
    """By jobs that wait."""
    running: Mapping[Key, float]
    """Jobs; a task of an array is one."""
    pending: Mapping[str, float]
    """Jobs by Slurm's reason code."""
    longest_wait: Mapping[Key, float]
    """Seconds since the oldest job that waits could have started, as far as it is not held and depends on nothing."""


def occupation(occupancy: Occupancy, more: Collection[Label] = ()) -> Occupation:
    """The figures of the cluster, by QOS and by `more`."""
    labels = labels_with(more)
    running = [job for job in occupancy.jobs if job.runs]
    waiting = [job for job in occupancy.jobs if job.waits]
    gpus = _gpus_by_state(occupancy.nodes)
    allocated = _sums(running, labels, lambda job: job.gpus)
    if (hidden := gpus["allocated"] - sum(allocated.values())) > 0:
        allocated[(NOT_SHOWN,) * len(labels)] += hidden
    reasons: Counter[str] = Counter()
    for job in waiting:
        reasons[reason_code(job.reason)] += job.tasks
    return Occupation(
        labels=labels,
        gpus=gpus,
        gpus_allocated=allocated,
        gpus_requested=_sums(waiting, labels, lambda job: job.gpus * job.tasks),
        running=_sums(running, labels, lambda job: job.tasks),
        pending=reasons,
        longest_wait=_longest_waits(waiting, labels, occupancy.asked),
    )


def labels_with(more: Collection[Label]) -> tuple[Label, ...]:
    """The QOS and `more`, in a fixed order."""
    wanted: tuple[Label, ...] = ("qos", "account", "user")
    return tuple(label for label in wanted if label == "qos" or label in more)


def reason_code(text: str) -> str:
    """Slurm's reason code, without the nodes that squeue lists after some: ``ReqNodeNotAvail, UnavailableNodes:n1``."""
    match = REASON.match(text)
    return match[0] if match else "None"


def _gpus_by_state(nodes: Iterable[NodeState]) -> dict[GpuState, float]:
    states: dict[GpuState, float] = {"allocated": 0.0, "idle": 0.0, "unavailable": 0.0}
    for node in nodes:
        states["allocated"] += node.gpus_held
        states["idle" if node.in_service and not node.reserved else "unavailable"] += node.gpus - node.gpus_held
    return states


def _sums(
    jobs: Iterable[QueuedJob], labels: tuple[Label, ...], amount: Callable[[QueuedJob], float]
) -> defaultdict[Key, float]:
    sums: defaultdict[Key, float] = defaultdict(float)
    for job in jobs:
        sums[_key(job, labels)] += amount(job)
    return sums


def _longest_waits(waiting: Iterable[QueuedJob], labels: tuple[Label, ...], now: float) -> dict[Key, float]:
    longest: dict[Key, float] = {}
    for job in waiting:
        if job.eligible is not None:
            key = _key(job, labels)
            longest[key] = max(longest.get(key, 0.0), now - job.eligible)
    return longest


def _key(job: QueuedJob, labels: tuple[Label, ...]) -> Key:
    return tuple(getattr(job, label) for label in labels)
