"""Joins Slurm's records of jobs with the attempts of runs: one `Allocation` for each time that resources were held.

Either is enough. Where both tell of the same, Slurm says what was held and when, and the run directory what for and how
it ended: after a requeue the state in accounting may be stale, and a record that still runs may be a leftover.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from passingloop.report.usage.allocation_use import Allocation, RunPart
from passingloop.report.usage.attempt_time import SLACK, AttemptTime, Span, divided
from passingloop.rundir.events import Decision, Queued
from passingloop.slurm.job_records import JobRecord
from passingloop.slurm.states import COMPLETED, job_end
from passingloop.usage.run_records import RunRecord

CAUSES = {
    "requeued": "requeued",
    "preempted": "preempted",
    "node failure": "node_fail",
    "time limit": "timeout",
    "out of memory": "oom",
    "cancelled": "cancelled",
    "failed": "crash",
}
"""The cause by how Slurm says that a job ended, in the words of the ledger."""

SKEW = 3600.0
"""Seconds by which the clock of a node may differ from slurmctld's: an attempt farther off is of another job that had
the same id."""

STALE = 600.0
"""Seconds after the end of a run's last attempt when accounting's "still running" is no longer believed."""


def joined(
    records: Iterable[JobRecord],
    runs: Sequence[RunRecord],
    since: float,
    until: float,
    shards_per_gpu: Mapping[str, float],
) -> list[Allocation]:
    """The allocations between two times.

    Args:
        shards_per_gpu: by partition, where GPUs have shards.
    """
    periods: dict[str, list[JobRecord]] = defaultdict(list)
    for record in records:
        periods[record.raw_id].append(record)
    by_job = _runs_by_job(runs)
    used: set[tuple[str, int]] = set()
    allocations: list[Allocation] = []
    for of_job in periods.values():
        of_job.sort(key=lambda record: record.started)
        own = _own_runs(of_job[0], by_job)
        attempts = _assigned(of_job, own, since, until) if own else [[] for _ in of_job]
        used |= {(attempt.run, attempt.attempt) for each in attempts for attempt in each}
        for number, (record, taken) in enumerate(zip(of_job, attempts, strict=True)):
            continues = number < len(of_job) - 1 or record.state == "REQUEUED" or _hands_over(own, taken)
            waiting = own if not taken and _is_submitted(record, own) else ()
            allocation = _of_record(record, taken, waiting, (since, until), shards_per_gpu, is_requeued=continues)
            if allocation:
                allocations.append(allocation)
    allocations += _without_records(runs, used, (since, until))
    return allocations


def _runs_by_job(runs: Sequence[RunRecord]) -> dict[str, list[RunRecord]]:
    found: dict[str, list[RunRecord]] = defaultdict(list)
    for run in runs:
        for job_id in {launch.job_id for launch in run.ledger.launches if launch.job_id}:
            found[job_id].append(run)
    return found


def _own_runs(record: JobRecord, by_job: Mapping[str, list[RunRecord]]) -> list[RunRecord]:
    """The runs that name this job, and not one of another cluster or user with the same number."""
    named = by_job.get(record.job_id) or (by_job.get(record.raw_id) if record.raw_id != record.job_id else None) or []
    return [run for run in named if run.user == record.user and _cluster(run, record) in (None, record.cluster)]


def _is_submitted(record: JobRecord, runs: Sequence[RunRecord]) -> bool:
    """Whether the job was submitted for these runs, and is not a shell in which they trained."""
    return any(event.job_id in (record.job_id, record.raw_id) for run in runs for event in run.ledger.events_of(Queued))


def _cluster(run: RunRecord, record: JobRecord) -> str | None:
    queued = (event for event in run.ledger.events_of(Queued) if event.job_id in (record.job_id, record.raw_id))
    return next((event.request.cluster for event in queued if event.request), None)


def _assigned(
    periods: Sequence[JobRecord], runs: Sequence[RunRecord], since: float, until: float
) -> list[list[AttemptTime]]:
    """For each of the job's periods the attempts in it: those that began in it, or nearest to it."""
    found: list[list[AttemptTime]] = [[] for _ in periods]
    names = {periods[0].job_id, periods[0].raw_id}
    for run in runs:
        for attempt in run.attempts:
            if attempt.job_id not in names or attempt.ended < since - SLACK or attempt.started > until:
                continue
            distances = [_distance(attempt.started, record, until) for record in periods]
            nearest = min(range(len(periods)), key=lambda number: distances[number])
            if distances[nearest] <= SKEW:
                found[nearest].append(attempt)
    return found


def _distance(time: float, record: JobRecord, until: float) -> float:
    ended = until if record.ended is None else record.ended
    return max(0.0, record.started - time, time - ended)


def _hands_over(runs: Sequence[RunRecord], attempts: Sequence[AttemptTime]) -> bool:
    """Whether the run of the last of these attempts submitted another job for itself, or asked for its requeue."""
    if not attempts:
        return False
    last = max(attempts, key=lambda attempt: attempt.started)
    decisions = [
        decision.action
        for run in runs
        if run.name == last.run
        for decision in run.ledger.events_of(Decision)
        if decision.attempt == last.attempt
    ]
    return bool(decisions) and decisions[-1] in ("requeue", "resubmit")


def _of_record(
    record: JobRecord,
    attempts: Sequence[AttemptTime],
    without: Sequence[RunRecord],
    window: Span,
    shards_per_gpu: Mapping[str, float],
    *,
    is_requeued: bool,
) -> Allocation | None:
    """None if nothing of it lies in `window`.

    Args:
        without: the runs that the job is for, if none of their attempts began in it.
    """
    since, until = window
    submitted = [attempt for attempt in attempts if attempt.is_submitted]
    ended, is_running = record.ended, record.ended is None
    if is_running and submitted and all(each.ended < until - STALE and not each.is_running for each in submitted):
        ended, is_running = max(each.ended for each in submitted), False
    whole = (record.started, max(record.started, until if ended is None else ended))
    cut = (max(since, whole[0]), min(until, whole[1]))
    if cut[1] <= cut[0]:
        return None
    cause = None if is_running or whole[1] > until else CAUSES.get(job_end(record.state) or "")
    if cause is None and record.state == COMPLETED:
        cause = "completed"
    if submitted and not is_running and whole[1] <= until:
        cause = max(submitted, key=lambda attempt: attempt.started).cause or cause
    gpus: float | None = record.gpus
    if record.shards:
        per_gpu = shards_per_gpu.get(record.partition)
        gpus = record.shards / per_gpu if per_gpu else None
    return Allocation(
        job_id=record.job_id,
        name=record.name,
        user=record.user,
        account=record.account or None,
        qos=record.qos or None,
        partition=record.partition or None,
        nodes=record.nodes,
        gpus=gpus,
        gpu_type=record.gpu_type or next((each.gpu_type for each in attempts if each.gpu_type), None),
        cpus=record.cpus,
        memory=record.memory,
        eligible=record.eligible or record.submitted,
        started=cut[0],
        ended=cut[1],
        is_running=is_running,
        time_limit=record.time_limit,
        state=record.state,
        cause=cause,
        is_requeued=is_requeued and not is_running and whole[1] <= until,
        is_cut=record.started < since,
        parts=_parts(whole, attempts, cut) or _unstarted_parts(without, cut),
    )


def _unstarted_parts(runs: Sequence[RunRecord], cut: Span) -> tuple[RunPart, ...]:
    """Of a job in which no attempt began: it was starting, or waited for a lock until it ended."""
    seconds = (cut[1] - cut[0]) / max(1, len(runs))
    return tuple(RunPart(run=run.name, experiment=run.experiment, seconds={"starting": seconds}) for run in runs)


def _parts(whole: Span, attempts: Sequence[AttemptTime], cut: Span) -> tuple[RunPart, ...]:
    if not attempts:
        return ()
    runs = divided(whole, [attempt.fitted(whole) for attempt in attempts], cut)
    return tuple(
        RunPart(
            run=name,
            experiment=own.experiment,
            seconds={use: seconds for use, seconds in own.active.items() if seconds},
            sampled=own.sampled,
            busy=own.busy / own.busy_seconds if own.busy_seconds else None,
            power=own.watts / own.watt_seconds if own.watt_seconds else None,
        )
        for name, own in runs.items()
    )


def _without_records(runs: Sequence[RunRecord], used: set[tuple[str, int]], window: Span) -> Iterator[Allocation]:
    """The allocations of attempts that accounting does not know, or that ran without Slurm."""
    by_job: dict[str, list[tuple[RunRecord, AttemptTime]]] = defaultdict(list)
    for run in runs:
        for attempt in run.attempts:
            if (attempt.run, attempt.attempt) not in used:
                key = attempt.job_id or f"{attempt.run} {attempt.attempt}"
                by_job[f"{run.user} {key}"].append((run, attempt))
    for pairs in by_job.values():
        for number, period in enumerate(periods := _ledger_periods(pairs)):
            is_requeued = number < len(periods) - 1 or _hands_over([period[-1][0]], [period[-1][1]])
            if allocation := _of_ledger(period, window, is_requeued=is_requeued):
                yield allocation


def _ledger_periods(pairs: list[tuple[RunRecord, AttemptTime]]) -> list[list[tuple[RunRecord, AttemptTime]]]:
    """The attempts of one job, divided where it was requeued: there no attempt runs, and none is started again."""
    periods: list[list[tuple[RunRecord, AttemptTime]]] = []
    ended = 0.0
    for run, attempt in sorted(pairs, key=lambda pair: pair[1].started):
        if periods and (attempt.started < ended or _goes_on(*periods[-1][-1])):
            periods[-1].append((run, attempt))
        else:
            periods.append([(run, attempt)])
        ended = max(ended, attempt.ended)
    return periods


def _goes_on(run: RunRecord, attempt: AttemptTime) -> bool:
    """Whether another attempt followed in the same allocation."""
    decisions = (decision for decision in run.ledger.events_of(Decision) if decision.attempt == attempt.attempt)
    return any(decision.action == "again" for decision in decisions)


def _of_ledger(pairs: Sequence[tuple[RunRecord, AttemptTime]], window: Span, *, is_requeued: bool) -> Allocation | None:
    attempts = [attempt for _, attempt in pairs]
    run, last = pairs[-1]
    start, first = run.start(last.attempt), pairs[0][0].start(pairs[0][1].attempt)
    whole = (min(attempt.started for attempt in attempts), max(attempt.ended for attempt in attempts))
    cut = (max(window[0], whole[0]), min(window[1], whole[1]))
    if cut[1] <= cut[0]:
        return None
    end = pairs[0][0].ledger.end(first.attempt)
    is_running = any(attempt.is_running for attempt in attempts)
    cluster = run.settings.get("cluster", {})
    allocation = Allocation(
        job_id=last.job_id,
        name=run.experiment,
        user=run.user,
        account=cluster.get("account") if last.job_id else None,
        qos=cluster.get("qos") if last.job_id else None,
        nodes=tuple(start.nodes),
        gpus=None if start.gpus is None else float(start.gpus * len(start.nodes)),
        gpu_type=last.gpu_type or run.settings.get("resources", {}).get("gpu_type"),
        eligible=whole[0] - end.seconds.queued if last.job_id and end and end.seconds.queued else None,
        started=cut[0],
        ended=cut[1],
        is_running=is_running,
        cause=None if is_running or whole[1] > window[1] else last.cause,
        is_requeued=is_requeued and not is_running and whole[1] <= window[1],
        is_cut=whole[0] < window[0],
    )
    return replace(allocation, parts=_parts(whole, attempts, cut))
