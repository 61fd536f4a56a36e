"""What a job waits for outside of its own request: other jobs, reservations, licences, its array."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from math import inf

from passingloop.pending.answer import Holder, Release
from passingloop.pending.blocking import license_counts
from passingloop.pending.holders import first_release, holder_of, in_order_of_end
from passingloop.pending.wording import count_text, time_text
from passingloop.slurm.states import job_end
from passingloop.slurm.waiting.evidence import Evidence
from passingloop.slurm.waiting.queue_table import QueuedJob, chosen_jobs
from passingloop.slurm.waiting.supply import License, Reservation

DEPENDENCY = re.compile(r"(?P<kind>[a-z]+):(?P<job>\d+(?:_(?:\d+|\*))?)(?:\+(?P<minutes>\d+))?(?:\((?P<state>\w+)\))?")
"""An entry of squeue's list of what is still to be fulfilled: ``afterok:12_3+10(unfulfilled)``."""

CONDITIONS = {
    "after": "has started",
    "afterok": "has succeeded",
    "afternotok": "has failed",
    "afterany": "has ended",
    "aftercorr": "has succeeded in its task of the same index",
    "afterburstbuffer": "has copied its files",
}


def dependency_facts(evidence: Evidence) -> tuple[str, ...]:
    """A sentence for each job that the job waits for."""
    return tuple(_dependency_sentences(evidence))


def dependency_release(evidence: Evidence) -> Release | None:
    """When the jobs that it waits for have ended at the latest; None if one of them waits itself, or is not shown."""
    text, now = evidence.job.dependency, evidence.now
    found = [chosen_jobs(evidence.cluster.jobs, match["job"].rstrip("_*")) for match in DEPENDENCY.finditer(text)]
    jobs = [jobs[0] for jobs in found if jobs and job_end(jobs[0].state) is None]
    holders = in_order_of_end(holder_of(job, 1.0) for job in jobs if job.runs)
    one_is_enough = "?" in text
    known = one_is_enough or len(holders) == len(found)
    ends = [held.ends for held in holders if held.ends]
    enough_at = (min if one_is_enough else max)(ends) if ends and known and "singleton" not in text else None
    return first_release(holders, now, enough_at=enough_at)


def _dependency_sentences(evidence: Evidence) -> Iterator[str]:
    job, now = evidence.job, evidence.now
    entries = list(DEPENDENCY.finditer(job.dependency))
    if "?" in job.dependency and len(entries) > 1:
        yield "One of these is enough."
    for match in entries:
        condition = CONDITIONS.get(match["kind"], f"is as {match['kind']} says")
        minutes = f", {match['minutes']} minutes ago" if match["minutes"] else ""
        yield f"It starts once job {match['job']} {condition}{minutes}: {_standing(evidence, match, now)}."
    if "singleton" in job.dependency:
        yield f"It starts once no other job of {job.user} with its name is in the queue before it."


def _standing(evidence: Evidence, match: re.Match[str], now: float) -> str:
    jobs = chosen_jobs(evidence.cluster.jobs, match["job"].rstrip("_*"))
    if match["state"] == "failed":
        return "that cannot happen any more"
    if not jobs:
        hidden = "jobs" in evidence.cluster.private
        return (
            "the job is not shown to you (PrivateData=jobs)" if hidden else "the queue does not know the job any more"
        )
    job = jobs[0]
    if job.runs:
        return f"it runs, until {time_text(job.ends, now)} at the latest" if job.ends else "it runs"
    return f"it waits itself ({job.reason})" if job.waits else f"it is {job.state}"


def overlapping_reservations(evidence: Evidence) -> list[Reservation]:
    """The reservations that keep the job off nodes of its partitions while it would run, the next one first."""
    job, now = evidence.job, evidence.now
    until = now + (job.limit or inf)
    nodes = {node.name for node in evidence.cluster.nodes if set(node.partitions) & set(job.partitions)}
    found = [
        reservation
        for reservation in evidence.cluster.reservations
        if reservation.name != job.reservation
        and reservation.keeps_others_out
        and nodes & set(reservation.nodes)
        and (reservation.start or 0.0) < until
        and (reservation.end or inf) > now
    ]
    return sorted(found, key=lambda reservation: reservation.start or 0.0)


def reservation_facts(evidence: Evidence) -> tuple[str, ...]:
    """A sentence for each reservation that is in the job's way."""
    now = evidence.now
    return tuple(
        f"Reservation {reservation.name} keeps {count_text(len(reservation.nodes), 'node')} "
        f"{_span(reservation, now)} for {reservation.users or reservation.accounts or 'others'}"
        f"{' (maintenance)' if 'MAINT' in reservation.flags else ''}."
        for reservation in overlapping_reservations(evidence)
    )


def own_reservation(evidence: Evidence) -> Reservation | None:
    """The reservation that the job asks for, if it is shown."""
    return next((r for r in evidence.cluster.reservations if r.name == evidence.job.reservation), None)


def reservation_holders(evidence: Evidence) -> tuple[Holder, ...]:
    """The jobs that run in the job's own reservation."""
    name = evidence.job.reservation
    return _gpu_holders(job for job in evidence.cluster.jobs if job.runs and name and job.reservation == name)


def scarce_license(evidence: Evidence) -> tuple[License, int] | None:
    """The licence of which too few are free for the job, and how many it asks for."""
    asked = license_counts(evidence.job.licenses)
    for known in evidence.cluster.licenses:
        wanted = asked.get(known.name, asked.get(known.name.partition("@")[0], 0))
        if wanted and known.used + known.reserved + wanted > known.total:
            return known, wanted
    return None


def license_holders(evidence: Evidence, name: str) -> tuple[Holder, ...]:
    """The jobs that use the licence; `amount` is how many."""
    running = [job for job in evidence.cluster.jobs if job.runs]
    return in_order_of_end(holder_of(job, float(license_counts(job.licenses).get(name, 0))) for job in running)


def array_holders(evidence: Evidence) -> tuple[Holder, ...]:
    """The running tasks of the job's array."""
    job = evidence.job
    return _gpu_holders(other for other in evidence.cluster.jobs if other.runs and other.array_id == job.array_id)


def _gpu_holders(jobs: Iterable[QueuedJob]) -> tuple[Holder, ...]:
    """The jobs with their GPUs; with their CPUs if they have none."""
    return in_order_of_end(holder_of(job, job.gpus or job.tres.get("cpu", 0.0)) for job in jobs)


def _span(reservation: Reservation, now: float) -> str:
    start, end = reservation.start or 0.0, reservation.end
    until = f" until {time_text(end, now)}" if end else ""
    return f"now{until}" if start <= now else f"from {time_text(start, now)}{until}"
