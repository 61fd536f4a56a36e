"""All jobs that the queue shows, of all users: what each asks for or holds, and how long."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache

from passingloop.slurm.notation import TASK_LIST, megabytes, node_names, seconds, task_names, timestamp
from passingloop.slurm.states import job_phase

FIELDS = (
    "JobID",
    "JobArrayID",
    "ArrayJobID",
    "UserID",
    "UserName",
    "Account",
    "QOS",
    "Partition",
    "State",
    "Reason",
    "PriorityLong",
    "tres-alloc",
    "NumNodes",
    "NodeList",
    "SubmitTime",
    "EligibleTime",
    "StartTime",
    "EndTime",
    "TimeLimit",
    "Dependency",
    "Reservation",
    "Licenses",
    "Feature",
    "ReqNodes",
)
"""squeue(1), --Format. None of them is free text; without a width they are not cut off."""

UNIT = "\x1f"
COMMAND = ("squeue", "--all", "--noheader", "--states=all", "--Format=" + ",".join(f"{name}:{UNIT}" for name in FIELDS))
"""The tasks of an array that wait are one record."""

ABSENT = ("", "(null)", "N/A", "n/a")


@dataclass(frozen=True, kw_only=True, slots=True)
class QueuedJob:
    """A job, a task of an array that has started, or the tasks of an array that wait. Times in seconds since the
    epoch."""

    number: str
    """Slurm's own number of the record, also of a task of an array."""
    job_id: str
    """``12``, ``12_3`` or ``12_[4-9]``."""
    array_id: str
    uid: int
    user: str
    account: str
    qos: str
    partitions: tuple[str, ...]
    """Where it runs, or the partitions of which it may start in any."""
    state: str
    reason: str
    """Slurm's reason code."""
    priority: int
    tres: Mapping[str, float] = field(default_factory=dict)
    """What it asks for or holds in all: cpu, mem (megabytes), node, gres/gpu, billing …"""
    nodes: int = 1
    node_list: str = ""
    """A hostlist; empty while it waits."""
    submitted: float | None = None
    eligible: float | None = None
    started: float | None = None
    """For a job that waits, Slurm's estimate, if it has one."""
    ends: float | None = None
    """At the latest, while it runs."""
    limit: float | None = None
    """Time limit in seconds; None is unlimited."""
    dependency: str = ""
    reservation: str = ""
    licenses: str = ""
    features: str = ""
    required_nodes: str = ""

    @property
    def waits(self) -> bool:
        return job_phase(self.state) == "waiting"

    @property
    def runs(self) -> bool:
        return job_phase(self.state) == "running"

    @property
    def gpus(self) -> float:
        return self.tres.get("gres/gpu", 0.0)

    @property
    def tasks(self) -> int:
        """How many jobs the record stands for."""
        return len(task_names(self.job_id)) if TASK_LIST.fullmatch(self.job_id) else 1

    @property
    def node_names(self) -> list[str]:
        return node_names(self.node_list) if self.node_list else []

    def includes(self, job_id: str) -> bool:
        """Whether `job_id` names this job, a task in it, or the array that it is of."""
        return job_id in (self.job_id, self.array_id) or (
            job_id.startswith(f"{self.array_id}_") and job_id in task_names(self.job_id)
        )


def read_queue(text: str) -> tuple[QueuedJob, ...]:
    """Parse the output of `COMMAND`."""
    return tuple(_job(line.split(UNIT)) for line in text.splitlines() if UNIT in line)


def chosen_jobs(jobs: Iterable[QueuedJob], job_id: str) -> list[QueuedJob]:
    """The jobs that `job_id` names, of an array those that wait first."""
    found = [job for job in jobs if job.includes(job_id)]
    return sorted(found, key=lambda job: (job_id not in (job.job_id, job.number), not job.waits, not job.runs))


@cache
def read_tres(text: str) -> Mapping[str, float]:
    """Parse amounts such as ``cpu=8,mem=1000M,gres/gpu=2``; memory in megabytes."""
    amounts = re.findall(r"([^=,]+)=(\d+(?:\.\d+)?)([KMGTP]?)", text)
    return {name: float(number) * megabytes(f"1{unit}") if unit else float(number) for name, number, unit in amounts}


def _job(values: list[str]) -> QueuedJob:
    fields = dict(zip(FIELDS, values, strict=False))
    return QueuedJob(
        number=fields["JobID"],
        job_id=fields["JobArrayID"],
        array_id=fields["ArrayJobID"],
        uid=int(fields["UserID"]),
        user=fields["UserName"],
        account=_present(fields["Account"]),
        qos=_present(fields["QOS"]),
        partitions=_names(fields["Partition"]),
        state=fields["State"],
        reason=fields["Reason"],
        priority=int(fields["PriorityLong"] or 0),
        tres=read_tres(fields["tres-alloc"]),
        nodes=int(fields["NumNodes"].partition("-")[0] or 1),  # a number, or a range
        node_list=_present(fields["NodeList"]),
        submitted=_time(fields["SubmitTime"]),
        eligible=_time(fields["EligibleTime"]),
        started=_time(fields["StartTime"]),
        ends=_time(fields["EndTime"]),
        limit=_seconds(fields["TimeLimit"]),
        dependency=_present(fields["Dependency"]),
        reservation=_present(fields["Reservation"]),
        licenses=_present(fields["Licenses"]),
        features=_present(fields["Feature"]),
        required_nodes=_present(fields["ReqNodes"]),
    )


def _present(value: str) -> str:
    return "" if value in ABSENT else value


# Thousands of jobs share a few values: to parse each once saves half of the time.
_time, _seconds = cache(timestamp), cache(seconds)


@cache
def _names(text: str) -> tuple[str, ...]:
    return tuple(text.split(","))
