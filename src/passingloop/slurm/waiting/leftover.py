"""GPUs that waiting jobs ask for, and what remains for a job that makes way for them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from passingloop.slurm.capacity.partition import gres_count
from passingloop.slurm.command import field_value, run_command
from passingloop.slurm.notation import seconds

TIMEOUT = 5.0
"""Seconds for each command. A job that is asked to stop has little time."""

COLUMNS = {"PriorityLong": 20, "NumNodes": 12, "TimeLimit": 20, "tres-alloc": 250, "Reason": 60}
"""squeue(1), --Format: the columns, with their widths. tres-alloc is what a waiting job asks for."""

ABOUT_TO_START = ("None", "Resources", "Priority")
"""Reasons of jobs that wait for a place only."""


@dataclass(frozen=True, slots=True)
class Demand:
    """What a waiting job asks for."""

    nodes: int
    gpus: int
    """Per node."""
    limit: float | None
    """Its time limit in seconds; None if it has none."""


def demands_before(priority: int, partition: str) -> list[Demand]:
    """What the waiting jobs of `partition` ask for that have a higher priority, the highest first.

    Raises:
        MissingError: Slurm does not answer.
    """
    columns = ",".join(f"{name}:{width}" for name, width in COLUMNS.items())
    command = ("squeue", "--all", "--array", "--noheader", "--states=PENDING")
    text = run_command(*command, f"--partition={partition}", "--sort=-p", f"--Format={columns}", timeout=TIMEOUT)
    return list(read_demands(text, priority))


def read_demands(text: str, priority: int) -> Iterable[Demand]:
    """Parse the output of squeue: the jobs with more than `priority`, in its order."""
    for line in text.splitlines():
        values, start = {}, 0
        for name, width in COLUMNS.items():
            values[name] = line[start : start + width].strip()
            start += width
        gpus = re.search(r"gres/gpu=(\d+)", values["tres-alloc"])
        if values["Reason"] in ABOUT_TO_START and int(values["PriorityLong"]) > priority:
            nodes = max(1, int(values["NumNodes"].partition("-")[0]))
            yield Demand(nodes, -(-int(gpus[1]) // nodes) if gpus else 0, seconds(values["TimeLimit"]))


def unused_gpus(names: Sequence[str]) -> dict[str, int]:
    """GPUs that no job has, by node.

    Raises:
        MissingError: Slurm does not answer.
    """
    text = run_command("scontrol", "--oneliner", "show", "node", ",".join(names), timeout=TIMEOUT)
    return {field_value(line, "NodeName"): _unused(line) for line in text.splitlines() if line.strip()}


def _unused(line: str) -> int:
    used = re.search(r"gres/gpu=(\d+)", field_value(line, "AllocTRES"))
    return gres_count(field_value(line, "Gres")) - (int(used[1]) if used else 0)


def remaining_gpus(free: Mapping[str, int], demands: Iterable[Demand]) -> dict[str, int]:
    """What remains of the `free` GPUs of each node once the jobs of `demands` have theirs, as far as they fit.

    Each takes its GPUs where they fit most closely, as Slurm does by default.
    """
    left = dict(free)
    for demand in demands:
        fitting = sorted((node for node in left if left[node] >= demand.gpus), key=lambda node: left[node])
        if len(fitting) < demand.nodes:  # it gets the rest elsewhere, or waits for these to become free
            fitting = sorted(left, key=lambda node: -left[node])
        for node in fitting[: demand.nodes]:
            left[node] = max(0, left[node] - demand.gpus)
    return left
