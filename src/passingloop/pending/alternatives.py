"""What may start a job sooner: another QOS, account or partition, fewer GPUs, a shorter time.

Whether it does, Slurm is asked about each.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from itertools import zip_longest
from math import ceil

from passingloop.pending import outside
from passingloop.pending.answer import Answer, Change
from passingloop.pending.blocking import applying, limit_of
from passingloop.pending.room import nodes_with_room
from passingloop.pending.wording import time_text
from passingloop.slurm.notation import duration_text, seconds
from passingloop.slurm.waiting.ceilings import QUEUED, WALL, Scope
from passingloop.slurm.waiting.evidence import Evidence
from passingloop.slurm.waiting.queue_table import QueuedJob

MOST = 8
"""Changes that Slurm is asked about; each takes slurmctld a few milliseconds."""

CHANGEABLE = ("limit", "request", "resources", "priority", "nodes", "reservation", "licence", "permission")
"""Kinds of reasons to which another request may be an answer."""

GPUS = re.compile(r"(?P<before>(?:^|,)gpu(?::[^:,]+)*:|^(?:[^:,]+:)?)(?P<number>\d+)(?=$|,|\()")
"""The number of GPUs in ``gpu:a100:4``, or in ``a100:4`` or ``4``."""

PER_JOB: Collection[Scope] = ("job", "node", "least")
"""Limits on a job alone."""

GPU_OPTIONS = ("gres", "gpus")
"""The options of sbatch by which a job may ask for GPUs: on each node, or in all."""

SPARE = 60.0
"""Seconds by which a shortened job ends before a reservation begins."""


def possible_changes(evidence: Evidence, answer: Answer, options: Mapping[str, str]) -> list[Change]:
    """Changes to a job that is asked for with `options`, none of which a known limit forbids."""
    if answer.category not in CHANGEABLE:
        return []
    kinds = (
        _qos(evidence),
        _accounts(evidence, answer),
        _times(evidence, answer),
        _partitions(evidence),
        _gpus(evidence, answer, options),
    )
    in_turn = zip_longest(*kinds)  # so that many partitions leave room for the other kinds
    found = [change for turn in in_turn for change in turn if change]
    scopes = PER_JOB if answer.never else None
    return [change for change in found if _has_room(evidence, change, options, scopes)][:MOST]


def _has_room(evidence: Evidence, change: Change, options: Mapping[str, str], scopes: Collection[Scope] | None) -> bool:
    """Whether the limits leave room for the changed job. sbatch --test-only leaves out those on use and most others.

    Args:
        scopes: the limits that count; None counts all. A job that would never start is helped if it can wait.
    """
    changed = replace(evidence, job=_changed_job(evidence.job, change.options, options))
    if _is_too_long(changed):
        return False
    limits = (limit_of(changed.job, ceiling, safe=evidence.cluster.safe) for ceiling in applying(changed))
    counting = (limit for limit in limits if scopes is None or limit.ceiling.scope in scopes)
    return not any(limit.exceeded for limit in counting if limit.ceiling.what != QUEUED)


def _is_too_long(evidence: Evidence) -> bool:
    """Whether a job that waits because its partition allows less time would still ask for more."""
    job, known = evidence.job, evidence.cluster.partitions
    longest = [known[name].max_time for name in job.partitions if name in known]
    most = None if None in longest else max((time for time in longest if time is not None), default=None)
    return job.reason.startswith("PartitionTimeLimit") and most is not None and (job.limit is None or job.limit > most)


def _changed_job(job: QueuedJob, changed: Mapping[str, str], options: Mapping[str, str]) -> QueuedJob:
    gpus = next((name for name in GPU_OPTIONS if name in changed), None)
    tres = dict(job.tres)
    if gpus:
        tres["gres/gpu"] *= _gpu_count(changed[gpus]) / _gpu_count(options[gpus])
    partition = changed.get("partition")
    return replace(
        job,
        account=changed.get("account", job.account),
        qos=changed.get("qos", job.qos),
        partitions=(partition,) if partition else job.partitions,
        limit=seconds(changed["time"]) if "time" in changed else job.limit,
        tres=tres,
    )


def _gpu_count(option: str) -> int:
    match = GPUS.search(option)
    return int(match["number"]) if match else 0


def _qos(evidence: Evidence) -> Iterator[Change]:
    """Every other QOS, that of the highest priority first."""
    known, job = evidence.ceilings, evidence.job
    if known is None:
        return
    for name in sorted(known.qos_priority, key=lambda name: -known.qos_priority[name])[:4]:
        if name == job.qos:
            continue
        note = "its jobs may be preempted" if name in known.preemptable else None
        what = f"QOS {name} instead of {job.qos}"
        yield Change(what=what, setting=f"cluster.qos={name}", options={"qos": name}, note=note)


def _accounts(evidence: Evidence, answer: Answer) -> Iterator[Change]:
    """The user's other accounts, if the one it has is what is in the way."""
    known, job, limit = evidence.ceilings, evidence.job, answer.limit
    of_account = limit and (limit.ceiling.owner != "qos" or limit.ceiling.scope == "account")
    if known is None or not (of_account or answer.category == "permission"):
        return
    for name in dict.fromkeys(account for account, _ in known.associations):
        if name != job.account:
            what = f"account {name} instead of {job.account}"
            yield Change(what=what, setting=f"cluster.account={name}", options={"account": name})


def _partitions(evidence: Evidence) -> Iterator[Change]:
    """Every other partition that is open to the job and has nodes with enough GPUs; those with room now come first."""
    job = evidence.job
    rooms = {name: nodes_with_room(evidence, (name,)) for name in evidence.cluster.partitions}
    for name, partition in sorted(evidence.cluster.partitions.items(), key=lambda item: -rooms[item[0]]):
        open_to = partition.accounts is None or job.account in partition.accounts
        states = evidence.cluster.partition_states
        if name in job.partitions or partition.hidden or states.get(name) != "UP" or not open_to:
            continue
        if job.gpus and not any(node.gpus >= job.gpus / job.nodes for node in partition.nodes):
            continue
        options = {"partition": name}
        what, setting = f"partition {name} instead of {','.join(job.partitions)}", f"cluster.partition={name}"
        if partition.max_time is not None and (job.limit is None or job.limit > partition.max_time):
            most = duration_text(partition.max_time)
            options["time"], what, setting = most, f"{what}, for {most}", f"{setting} resources.time={most}"
        yield Change(what=what, setting=setting, options=options)


def _gpus(evidence: Evidence, answer: Answer, options: Mapping[str, str]) -> Iterator[Change]:
    """Fewer GPUs per node: as many as the limit leaves, then half and one."""
    job = evidence.job
    option = next((name for name in GPU_OPTIONS if name in options and _gpu_count(options[name])), None)
    if option is None or job.gpus <= 1:
        return
    shared = job.nodes if option == "gres" else 1
    now = _gpu_count(options[option])
    wanted = [ceil(now / 2), 1]
    limit = answer.limit
    if limit and limit.ceiling.what == "gres/gpu" and limit.ceiling.measure == "amount":
        left = limit.ceiling.limit - (0.0 if limit.ceiling.scope in ("job", "node") else limit.ceiling.used)
        wanted.insert(0, int(left // (1 if limit.ceiling.scope == "node" else shared)))
    for number in dict.fromkeys(number for number in wanted if 0 < number < now):
        text = GPUS.sub(lambda match, number=number: f"{match['before']}{number}", options[option], count=1)  # type: ignore[misc]
        nodes = " per node" if option == "gres" and job.nodes > 1 else ""
        what = f"{number} GPU{'s' if number > 1 else ''}{nodes} instead of {now}"
        yield Change(what=what, setting=f"resources.gpus={number}", options={option: text})


def _times(evidence: Evidence, answer: Answer) -> Iterator[Change]:
    """A shorter time: before the next reservation, as long as the limit allows, or half."""
    job, now = evidence.job, evidence.now
    wanted: dict[int, str] = {}
    for reservation in outside.overlapping_reservations(evidence)[:2]:
        if reservation.start and reservation.start - SPARE > now + 60:
            begins = time_text(reservation.start, now)
            ends = f"if it starts now, it ends before reservation {reservation.name} begins at {begins}"
            wanted.setdefault(int((reservation.start - SPARE - now) // 60), ends)
    for minutes in (*_allowed_minutes(evidence, answer), *([int(job.limit // 120)] if job.limit else [])):
        wanted.setdefault(minutes, "")
    for minutes, why in wanted.items():
        if minutes > 0 and (job.limit is None or minutes * 60 < job.limit):
            text = duration_text(minutes * 60)
            asked = f" instead of {duration_text(job.limit)}" if job.limit else ""
            what, setting = f"a time limit of {text}{asked}", f"resources.time={text}"
            yield Change(what=what, setting=setting, options={"time": text}, note=why or None)


def _allowed_minutes(evidence: Evidence, answer: Answer) -> Iterator[int]:
    """The longest time that the limit in the way, or the partition, allows."""
    limit, job = answer.limit, evidence.job
    if limit and limit.ceiling.what == WALL and limit.ceiling.scope == "job":
        yield int(limit.ceiling.limit)
    elif limit and limit.ceiling.measure != "amount" and limit.asked and job.limit and limit.ceiling.what != WALL:
        used = 0.0 if limit.ceiling.scope == "job" else limit.ceiling.used
        yield int((limit.ceiling.limit - used) / limit.asked * job.limit / 60)
    partitions = [evidence.cluster.partitions[name] for name in job.partitions if name in evidence.cluster.partitions]
    longest = [partition.max_time for partition in partitions if partition.max_time]
    if longest and job.limit and job.limit > max(longest):
        yield int(max(longest) // 60)
