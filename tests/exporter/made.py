"""Jobs, nodes and figures made by hand."""

from __future__ import annotations

from typing import Any

from passingloop.exporter.metrics import Metric, Use, cluster_metrics, source_metrics, use_metrics
from passingloop.exporter.occupation import occupation
from passingloop.report.usage.usage_figures import Energy, Ettr, Figures, GpuHours, Money
from passingloop.slurm.waiting.occupancy import Occupancy
from passingloop.slurm.waiting.queue_table import QueuedJob
from passingloop.slurm.waiting.supply import NodeState

NOW = 1_795_000_000.0


def job(job_id: str, state: str, gpus: int = 1, **fields: Any) -> QueuedJob:
    usual = {"qos": "production", "account": "team-a", "user": "ada", "reason": "None", "priority": 1}
    return QueuedJob(
        number=job_id,
        job_id=job_id,
        array_id=job_id.partition("_")[0],
        uid=1000,
        partitions=("main",),
        state=state,
        tres={"gres/gpu": float(gpus)},
        **{**usual, **fields},
    )


def node(name: str, state: str = "MIXED", gpus: int = 8, held: int = 0) -> NodeState:
    return NodeState(name=name, state=state, gpus=gpus, gpus_held=held)


OCCUPANCY = Occupancy(
    asked=NOW,
    jobs=(
        job("1", "RUNNING", 4),
        job("2", "RUNNING", 2, qos="scavenger", user="bob", account="team-b"),
        job("3_[0-9]", "PENDING", 1, qos="scavenger", reason="Priority", eligible=NOW - 300),
        job("4", "PENDING", 8, reason="ReqNodeNotAvail, UnavailableNodes:n[3-4]", eligible=NOW - 60),
        job("5", "PENDING", 8, reason="BeginTime", eligible=NOW + 3600),
        job("6", "PENDING", 8, reason="JobHeldUser"),
        job("7", "COMPLETED", 8),
    ),
    nodes=(
        node("n1", held=4),
        node("n2", held=2),
        node("n3", "DOWN*+DRAIN"),
        node("n4", "MIXED+DRAIN", held=0),
        node("n5", "RESERVED", 2),
    ),
)

FIGURES = Figures(
    jobs=12,
    runs=3,
    allocations=14,
    gpu_hours=GpuHours(
        allocated=10.0,
        training=6.0,
        starting=0.5,
        saving=0.25,
        lost_to_preemption=0.75,
        holding=0.5,
        unexplained=2.0,
        busy=5.0,
        idle=3.0,
        unmeasured=2.0,
    ),
    cpu_hours=80.0,
    requeues={"preempted": 4, "node_fail": 1},
    ettr=Ettr(productive=6.0, unproductive=2.0, queued=4.0),
    mfu=0.31,
    energy=Energy(kwh=2.5, co2_kg=0.9, gpu_hours=8.0),
    money={"on_premises": Money(amount=12.5, gpu_hours=10.0), "spot": Money(amount=9.0, gpu_hours=10.0)},
)

USE = Use(
    since=NOW - 604_800,
    until=NOW,
    labels=("qos",),
    figures={("production",): FIGURES, ("",): Figures(jobs=1)},
    waits={("production",): [1.0, 60.0, 61.0, 1e9], ("",): []},
    currency="EUR",
)


def all_metrics() -> list[Metric]:
    """Every metric, with values."""
    found = source_metrics("1.2.3", {"queue": True, "accounting": True, "runs": False})
    return [*found, *cluster_metrics(occupation(OCCUPANCY)), *use_metrics(USE)]
