"""A cluster in which a job waits: two nodes of 8 GPUs, jobs of three users, limits as a case needs them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from passingloop.pending.answer import Answer
from passingloop.pending.diagnosis import explain
from passingloop.slurm.capacity.partition import Node, Partition
from passingloop.slurm.waiting.ceilings import Ceiling, Ceilings, Measure, Owner, Scope
from passingloop.slurm.waiting.evidence import Cluster, Evidence
from passingloop.slurm.waiting.priority_parts import PriorityParts
from passingloop.slurm.waiting.queue_table import QueuedJob
from passingloop.slurm.waiting.supply import NodeState

NOW = 1_795_950_000.0
HOUR = 3600.0

JOB = QueuedJob(
    number="100",
    job_id="100",
    array_id="100",
    uid=1001,
    user="ann",
    account="team-a",
    qos="production",
    partitions=("main",),
    state="PENDING",
    reason="Resources",
    priority=500,
    tres={"cpu": 8, "mem": 32768, "node": 1, "gres/gpu": 4, "billing": 8},
    submitted=NOW - HOUR,
    eligible=NOW - HOUR,
    limit=2 * HOUR,
)
"""The job that is asked about: 4 GPUs for two hours."""


def running(number: str, user: str, node: str, hours: float, gpus: int = 4, **changes: Any) -> QueuedJob:
    """A job that runs on `node`, and ends in so many hours."""
    return replace(
        JOB,
        number=number,
        job_id=number,
        array_id=number,
        user=user,
        state="RUNNING",
        reason="None",
        tres={"cpu": 2 * gpus, "mem": 8192 * gpus, "node": 1, "gres/gpu": gpus, "billing": 2 * gpus},
        node_list=node,
        started=NOW - HOUR,
        ends=NOW + hours * HOUR,
        **changes,
    )


def waiting(number: str, user: str, priority: int, **changes: Any) -> QueuedJob:
    return replace(
        JOB, **{"number": number, "job_id": number, "array_id": number, "user": user, "priority": priority} | changes
    )


ANN = running("11", "ann", "n1", 1.0)
BOB = running("12", "bob", "n1", 0.5)
EVE = running("13", "eve", "n2", 3.0, gpus=8, account="team-b", qos="scavenger")
AHEAD = waiting("90", "bob", 900, reason="Resources")
BEHIND = waiting("101", "eve", 400, reason="Priority", account="team-b")
OTHERS = (ANN, BOB, EVE, AHEAD, BEHIND)

MAIN = Partition(
    name="main",
    default=True,
    hidden=False,
    open=True,
    max_time=24 * HOUR,
    min_nodes=0,
    max_nodes=4,
    max_cpus=None,
    max_mem=None,
    cpus_per_gpu=None,
    accounts=None,
    accounts_denied=(),
    qos=None,
    qos_denied=(),
    own_qos=None,
    nodes=(Node(cpus=32, mem=256_000, gpus=8), Node(cpus=32, mem=256_000, gpus=8)),
    nodes_in_all=2,
)
SHORT = replace(MAIN, name="short", default=False, max_time=HOUR, nodes=MAIN.nodes[:1], nodes_in_all=1)
N1 = NodeState(
    name="n1",
    state="MIXED",
    partitions=("main", "short"),
    features=("h200",),
    cpus=32,
    mem=256_000,
    gpus=8,
    cpus_held=16,
    mem_held=65536,
    gpus_held=8,
)
N2 = replace(N1, name="n2", partitions=("main",), features=("h200", "ib"))


def cap(
    owner: Owner, name: str, scope: Scope, what: str, limit: float, used: float = 0.0, measure: Measure = "amount"
) -> Ceiling:
    return Ceiling(owner=owner, name=name, scope=scope, what=what, limit=limit, used=used, measure=measure)


def ceilings(*caps: Ceiling) -> Ceilings:
    """The limits of a cluster with QOS interactive, production and scavenger, and team-a and team-b below research."""
    qos: dict[str, tuple[Ceiling, ...]] = dict.fromkeys(("interactive", "production", "scavenger", "small"), ())
    accounts: dict[str, tuple[Ceiling, ...]] = dict.fromkeys(("root", "research", "team-a", "team-b"), ())
    associations: dict[tuple[str, str], tuple[Ceiling, ...]] = {("team-a", ""): ()}
    for ceiling in caps:
        if ceiling.owner == "association":
            associations["team-a", ""] += (ceiling,)
        else:
            place = qos if ceiling.owner == "qos" else accounts
            place[ceiling.name.partition("/")[0]] += (ceiling,)
    parents = {"team-a": "research", "team-b": "research", "research": "root", "root": ""}
    priorities = {"interactive": 100, "production": 50, "scavenger": 0, "small": 50}
    return Ceilings(
        qos=qos,
        accounts=accounts,
        associations=associations,
        parents=parents,
        qos_priority=priorities,
        preemptable=frozenset({"scavenger"}),
    )


def parts(number: str, qos: int, age: int, fairshare: int) -> PriorityParts:
    values = {"age": age, "fairshare": fairshare, "size": 0, "partition": 0, "QOS": qos, "TRES": 0, "nice": 0}
    return PriorityParts(number=number, partition="main", priority=qos + age + fairshare, parts=values)


CLUSTER = Cluster(
    jobs=OTHERS,
    viewer="ann",
    partitions={"main": MAIN, "short": SHORT},
    partition_states={"main": "UP", "short": "UP"},
    nodes=(N1, N2),
    priorities=(parts("90", 700, 100, 100), parts("100", 200, 100, 200), parts("101", 200, 0, 200)),
    half_life=7 * 24 * HOUR,
)


def evidence(
    reason: str,
    *,
    caps: tuple[Ceiling, ...] | None = (),
    others: tuple[QueuedJob, ...] = OTHERS,
    fields: dict[str, str] | None = None,
    cluster: dict[str, Any] | None = None,
    **job: Any,
) -> Evidence:
    """What is known of the job if it waits for `reason`.

    Args:
        caps: the limits; None if they are not shown.
        cluster: what is different about the cluster.
        job: what is different about the job.
    """
    asked = replace(JOB, reason=reason, **job)
    return Evidence(
        job=asked,
        cluster=replace(CLUSTER, jobs=(*others, asked), **(cluster or {})),
        now=NOW,
        ceilings=None if caps is None else ceilings(*caps),
        fields={"JobId": "100", "Reason": reason} if fields is None else fields,
    )


def answer(reason: str, **given: Any) -> Answer:
    return explain(evidence(reason, **given))
