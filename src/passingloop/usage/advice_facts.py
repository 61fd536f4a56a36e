"""What advice on a run needs to know: from its directory and its allocations."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from passingloop.errors import OtherVersion
from passingloop.report.usage.allocation_use import Allocation, Use
from passingloop.report.usage.run_facts import RunFacts
from passingloop.rundir.events import Decision, End
from passingloop.rundir.usage import Usage, read_usage
from passingloop.slurm.notation import seconds
from passingloop.usage.run_records import RunRecord


def run_facts(record: RunRecord, allocations: Sequence[Allocation], siblings: int = 1) -> RunFacts:
    """The facts on a run.

    Args:
        allocations: those that have a part of it.
        siblings: the runs of its experiment, itself included.
    """
    spent: dict[Use, float] = {}
    gpu_hours = 0.0
    for allocation in allocations:
        for part in (part for part in allocation.parts if part.run == record.name):
            gpu_hours += (allocation.gpus or 0.0) * sum(part.seconds.values()) / 3600
            for use, length in part.seconds.items():
                spent[use] = spent.get(use, 0.0) + length
    newest = record.attempts[-1] if record.attempts else None
    start = record.start(newest.attempt) if newest else None
    nodes = max(1, len(start.nodes)) if start else 1
    used = _usage(record)
    held = max(allocations, key=lambda allocation: allocation.started, default=None)
    limits = [allocation.time_limit for allocation in allocations if allocation.time_limit is not None]
    waits = [allocation.wait for allocation in allocations if allocation.wait is not None]
    ends = record.ledger.events_of(End)
    training = sum(attempt.training for attempt in record.attempts)
    lost = sum(min(attempt.lost, attempt.training) for attempt in record.attempts)
    still = sum(attempt.still for attempt in record.attempts)
    return RunFacts(
        gpu_hours=gpu_hours,
        seconds=spent,
        is_complete=record.result is not None,
        gpus=start.gpus * nodes if start and start.gpus is not None else None,
        nodes=nodes,
        processes=max(1, start.processes // nodes) if start else 1,
        gpu=(held.gpu_type if held else None) or (newest.gpu_type if newest else None),
        busy=used.busy if used else None,
        sm=used.sm if used else None,
        idle=used.idle if used else None,
        throttled=used.throttled if used else {},
        gpu_memory=used.gpu_memory if used else None,
        gpu_memory_total=used.gpu_memory_total if used else None,
        cpus=used.cpus if used else None,
        cpus_asked=held.cpus / nodes if held and held.cpus else used.cpus_available if used else None,
        memory=used.memory if used else None,
        memory_asked=held.memory // nodes if held and held.memory else None,
        data_wait=_share([attempt.data_wait for attempt in record.attempts], training),
        evaluating=_share([attempt.evaluating for attempt in record.attempts], training),
        precision=record.record.get("precision"),
        micro_batch=_setting(record, "trainer", "micro_batch"),
        eval_every=_setting(record, "trainer", "eval_every"),
        epochs=_setting(record, "trainer", "epochs"),
        pack=_setting(record, "sweep", "pack"),
        siblings=siblings,
        time_limit=max(limits) if limits else seconds(str(_setting(record, "resources", "time"))),
        longest=max((allocation.seconds for allocation in allocations), default=0.0),
        wait=sum(waits) if waits else None,
        uncovered=lost / (lost + still) if lost + still else 1.0,
        stood_still=sum(attempt.still for attempt in record.attempts if attempt.cause == "hung"),
        ends=Counter(end.cause for end in ends),
        host_oom=sum(end.cause == "oom" and end.memory == "host" for end in ends),
        gpu_oom=sum(end.cause == "oom" and end.memory == "device" for end in ends),
        failed_nodes=tuple(sorted({node for each in record.ledger.events_of(Decision) for node in each.exclude})),
        first_start=(record.attempts[0].starting or None) if record.attempts else None,
    )


def _usage(record: RunRecord) -> Usage | None:
    """Of all attempts together."""
    if len(record.usage) < 2:
        return next(iter(record.usage.values()), None)
    try:
        return read_usage(record.run)
    except OtherVersion:
        return None


def _share(parts: Sequence[float | None], whole: float) -> float | None:
    """Their sum as a share of `whole`; None if any is unknown."""
    known = [part for part in parts if part is not None]
    return sum(known) / whole if whole and known and len(known) == len(parts) else None


def _setting(record: RunRecord, section: str, name: str) -> Any:
    return record.settings.get(section, {}).get(name)
