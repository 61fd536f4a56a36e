"""The jobs of a period in Slurm's accounting database: a record for each time that a job held resources.

Only what has started is of interest here; what became of single jobs is in `passingloop.slurm.accounting`.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache

from passingloop.slurm.command import stream_command
from passingloop.slurm.notation import node_names

FIELDS = (
    "JobIDRaw", "JobID", "User", "Account", "QOS", "Partition", "NodeList", "AllocTRES", "Submit", "Eligible", "Start",
    "End", "TimelimitRaw", "State", "Cluster", "JobName",
)  # fmt: skip
"""The name comes last: it may contain anything, also line ends."""

SEPARATOR = "\x1f"
"""ASCII's own separator of fields, which nobody types into a job's name."""

TIMEOUT = 180.0
"""Seconds for sacct over a long period."""

MIG_PROFILE = re.compile(r"(?:^|[._-])(?P<slices>[1-7])g\.\d+gb", re.IGNORECASE)
"""``1g.10gb``, ``a100_3g.20gb``: a MIG device with so many of the seven compute slices of a GPU (NVIDIA's MIG user
guide, "MIG device names")."""

SLICES = 7

SIZES = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40, "P": 2**50}


@dataclass(frozen=True, kw_only=True, slots=True)
class JobRecord:
    """One period in which a job held resources. Times are in seconds since the epoch."""

    raw_id: str
    """Slurm's number of the job; of a task of an array another one than `job_id` shows."""
    job_id: str
    """``12``, or ``12_3`` for a task of an array."""
    user: str
    account: str
    qos: str
    partition: str
    nodes: tuple[str, ...]
    cpus: int
    memory: int | None
    """Bytes."""
    gpus: float
    """A MIG device counts as its share of a GPU, if Slurm tracks types; shards count as none."""
    shards: int
    gpu_type: str | None
    """None if Slurm does not track types (AccountingStorageTRES)."""
    submitted: float | None
    eligible: float | None
    started: float
    ended: float | None
    """None while it runs."""
    time_limit: float | None
    """Seconds."""
    state: str
    cluster: str
    name: str


def job_records(since: float, until: float, user: str | None = None) -> Iterator[JobRecord]:
    """The periods in which jobs held resources, as far as they lie between two times, read while sacct writes them.

    Args:
        user: whose jobs; None: those of all users, as far as Slurm shows them to us (PrivateData).

    Raises:
        SlurmMissing, SlurmSilent, SlurmRefused: accounting does not answer, perhaps in the middle.
    """
    times = [f"--{name}={datetime.fromtimestamp(at):%Y-%m-%dT%H:%M:%S}" for name, at in
             (("starttime", since), ("endtime", until))]  # fmt: skip
    call = ["sacct", "--duplicates", "--allocations", "--parsable2", "--noheader", f"--delimiter={SEPARATOR}", *times]
    call += [f"--format={','.join(FIELDS)}", f"--user={user}" if user else "--allusers"]
    return read_job_records(stream_command(*call, timeout=TIMEOUT, variables={"SLURM_TIME_FORMAT": "%s"}))


def read_job_records(lines: Iterable[str]) -> Iterator[JobRecord]:
    """Parse the output of sacct. Jobs that never started are left out, and so are further lines of a job's name."""
    for line in lines:
        values = line.split(SEPARATOR, len(FIELDS) - 1)
        if len(values) == len(FIELDS) and (record := _record(values)):
            yield record


def _record(values: list[str]) -> JobRecord | None:
    raw_id, job_id, user, account, qos, partition, nodes, tres, submit, eligible, start, end, limit, state, *names = (
        values
    )
    started, ended = _time(start), _time(end)
    if started is None or (ended is not None and ended <= started):  # cancelled in the queue
        return None
    cpus, memory, gpus, shards, gpu_type = tracked_resources(tres)
    if not nodes or nodes.startswith("None"):
        return None
    return JobRecord(
        raw_id=raw_id,
        job_id=job_id,
        user=sys.intern(user),
        account=sys.intern(account),
        qos=sys.intern(qos),
        partition=sys.intern(partition),
        nodes=_nodes(nodes),
        cpus=cpus,
        memory=memory,
        gpus=gpus,
        shards=shards,
        gpu_type=gpu_type,
        submitted=_time(submit),
        eligible=_time(eligible),
        started=started,
        ended=ended,
        time_limit=60.0 * int(limit) if limit.isdigit() else None,
        state=sys.intern(state.partition(" ")[0]),  # CANCELLED by 1000
        cluster=sys.intern(names[0]),
        name=names[1],
    )


def _time(text: str) -> float | None:
    """Seconds since the epoch; None for Unknown, None and 0."""
    return float(text) if text.isdigit() and text != "0" else None


@lru_cache(maxsize=4096)
def _nodes(hostlist: str) -> tuple[str, ...]:
    return tuple(map(sys.intern, node_names(hostlist)))


@lru_cache(maxsize=4096)
def tracked_resources(tres: str) -> tuple[int, int | None, float, int, str | None]:
    """CPUs, bytes of memory, GPUs, shards and type of GPU in ``billing=8,cpu=8,gres/gpu:h200=1,gres/gpu=1,mem=64G``."""
    amounts = dict(pair.split("=", 1) for pair in tres.split(",") if "=" in pair)
    kinds = {name.partition(":")[2]: int(amount) for name, amount in amounts.items() if name.startswith("gres/gpu:")}
    count = int(amounts.get("gres/gpu", sum(kinds.values())))
    gpus = sum(number * _share(kind) for kind, number in kinds.items()) + max(0, count - sum(kinds.values()))
    memory = bytes_of(amounts["mem"]) if "mem" in amounts else None
    return (
        int(amounts.get("cpu", 0)),
        memory,
        float(gpus),
        int(amounts.get("gres/shard", 0)) if not count else 0,
        max(kinds, key=lambda kind: kinds[kind], default=None),
    )


def _share(kind: str) -> float:
    """The part of a GPU that a device of this type is."""
    profile = MIG_PROFILE.search(kind)
    return int(profile["slices"]) / SLICES if profile else 1.0


def bytes_of(size: str) -> int | None:
    """The bytes of a size such as ``1000M`` or ``1.50G``, as sacct prints it; None if it is none."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([KMGTP]?)", size)
    return round(float(match[1]) * SIZES[match[2]]) if match else None
