"""What a change of policy would do to jobs that wait or run, and to the history of use, before it is made."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from passingloop.policy import fields
from passingloop.policy.entities import Seat, State, allowed_qos
from passingloop.policy.fields import Option, Options, Schema
from passingloop.policy.reports import QueuedJob
from passingloop.text import list_excerpt

SHOWN = 5
"""Jobs that a sentence names; all are in the JSON."""

Usage = Mapping[str, Mapping[str, float]]
"""Minutes of each resource that count against a budget, by ``qos NAME``, ``account NAME``, ``user NAME in ACCOUNT``."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Refusal:
    """Why a policy is not applied unless it is told to."""

    reason: Literal["jobs", "history"]
    sentence: str
    jobs: tuple[str, ...] = ()
    users: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class History:
    """What has been used, according to slurmdbd."""

    accounts: frozenset[str] = frozenset()
    seats: frozenset[tuple[str, str]] = frozenset()
    """User and account."""
    qos: frozenset[str] = frozenset()


def history_losses(before: State, after: State, history: History) -> list[Refusal]:
    """What would be removed although it was used, or is used by other clusters."""
    found = [
        f"The account {name} would be removed with what was used under it."
        for name in before.accounts
        if name not in after.accounts and name in history.accounts
    ]
    users = {seat.user for seat in after.seats}
    for seat in before.seats:
        if seat not in after.seats and (seat.user, seat.account) in history.seats:
            what = f"the account {seat.account}" if seat.user in users else f"{seat.account}, the last account,"
            found.append(f"The user {seat.user} would lose {what} with what was used there.")
    for name in before.qos:
        if name not in after.qos and name in before.elsewhere:
            found.append(f"The QOS {name} would be removed for other clusters as well, which use it.")
        elif name not in after.qos and name in history.qos:
            found.append(f"The QOS {name} would be removed, and the jobs that ran in it would have none.")
    return [Refusal(reason="history", sentence=sentence) for sentence in found]


def stranded_jobs(before: State, after: State, jobs: Sequence[QueuedJob], usage: Usage) -> list[Refusal]:
    """Jobs that would lose their association or QOS, or be over a limit that they are not over now."""
    lost: dict[str, list[QueuedJob]] = {}
    kept = []
    for job in jobs:
        why = _loss(before, after, job)
        if why:
            lost.setdefault(why, []).append(job)
        else:
            kept.append(job)
    refusals = [_refusal(f"{why}, but jobs need that", group) for why, group in lost.items()]
    return refusals + list(_over_limits(before, after, kept, usage))


def _refusal(what: str, jobs: Sequence[QueuedJob]) -> Refusal:
    users = tuple(sorted({job.user for job in jobs}))
    ids = tuple(job.job_id for job in jobs)
    named = list_excerpt([f"{job.job_id} of {job.user} ({'waits' if job.waits else 'runs'})" for job in jobs], SHOWN)
    return Refusal(reason="jobs", sentence=f"{what}: {named}.", jobs=ids, users=users)


def _loss(before: State, after: State, job: QueuedJob) -> str:
    """What would be taken away from the job; empty if nothing."""
    seat = before.seat_of(job.user, job.account, job.partition.split(",")[0])
    if seat is None:
        return ""
    new = after.seat_of(job.user, job.account, job.partition.split(",")[0])
    if seat not in after.seats or new is None:
        return f"{seat} would be removed"
    if job.qos not in before.qos:
        return ""
    if job.qos not in after.qos:
        return f"The QOS {job.qos} would be removed"
    if job.qos in allowed_qos(before.above(seat)) and job.qos not in allowed_qos(after.above(new)):
        return f"{new} would not be allowed the QOS {job.qos} any more"
    return ""


# --- limits --------------------------------------------------------------------------------------------------

Group = tuple[str, Schema, Option, str | None, str, list[QueuedJob]]
"""Whose limit it is, its schema, the option, the limit before and after, and the jobs that count together."""


def _over_limits(before: State, after: State, jobs: Sequence[QueuedJob], usage: Usage) -> Iterator[Refusal]:
    for whose, schema, option, old, new, group in _groups(before, after, jobs):
        if not group or not _is_tighter(option, old, new):
            continue
        key, limit = schema.shown(option, new)
        if option[0] in ("GrpTRESMins", "GrpWall"):
            used = usage.get(whose, {}).get(option[1] or "wall", 0.0)
            if used >= _number(option, new):
                yield _refusal(
                    f"{whose}: {key} would be {limit}, but {used / 60:.1f} hours are used, so Slurm would end what "
                    "runs and hold what waits",
                    group,
                )
            continue
        over = _offenders(option, _number(option, new), group)
        if over:
            verb = "do not ask for" if option[0] == "MinTRES" else "are over"
            yield _refusal(f"{whose}: {key} would be {limit}, which jobs {verb}", over)


def _number(option: Option, value: str) -> float:
    return int(value) / 60 if option[0] in ("MaxWall", "GrpWall") else int(value)


def _is_tighter(option: Option, old: str | None, new: str) -> bool:
    if old is None:
        return True
    return int(new) > int(old) if option[0] == "MinTRES" else int(new) < int(old)


def _groups(before: State, after: State, jobs: Sequence[QueuedJob]) -> Iterator[Group]:
    for name, options in after.qos.items():
        mine = [job for job in jobs if job.qos == name]
        for option, old, new in _new_limits(before.qos.get(name, {}), options):
            for group in _split(QOS_SCOPES[option[0]], mine):
                yield f"qos {name}", fields.QOS, option, old, new, group
    seats = {job.job_id: seat for job in jobs if (seat := after.seat_of(job.user, job.account, job.partition))}
    for name in after.accounts:
        for option, old, new in _new_limits(before.accounts.get(name, {}), after.accounts[name]):
            if option[0].startswith("Grp"):
                below = [job for job in jobs if job.job_id in seats and name in after.chain(job.account)]
                yield f"account {name}", fields.ACCOUNT, option, old, new, below
    for seat in dict.fromkeys(seats.values()):
        mine = [job for job in jobs if seats.get(job.job_id) == seat]
        for option, old, new in _new_limits(_own_limits(before, seat), _own_limits(after, seat)):
            for group in _split(SEAT_SCOPES[option[0]], mine):
                yield f"user {seat}", fields.SEAT, option, old, new, group


def _own_limits(state: State, seat: Seat) -> Options:
    """The limits of a seat: those for a group of its own only, the others also from the accounts above."""
    inherited: dict[Option, str] = {}
    for options in reversed(state.above(seat)):
        inherited |= {option: value for option, value in options.items() if not option[0].startswith("Grp")}
    own = state.seats.get(seat, {})
    return inherited | {option: value for option, value in own.items() if option[0].startswith("Grp")}


def _new_limits(before: Options, after: Options) -> Iterator[tuple[Option, str | None, str]]:
    for option, new in after.items():
        if option[0] in MEASURES and before.get(option) != new:
            yield option, before.get(option), new


def _split(scope: str, jobs: Sequence[QueuedJob]) -> Iterable[list[QueuedJob]]:
    keys: dict[str, Callable[[QueuedJob], str]] = {
        "job": lambda job: job.job_id,
        "user": lambda job: job.user,
        "account": lambda job: job.account,
        "all": lambda job: "",
    }
    groups: dict[str, list[QueuedJob]] = {}
    for job in jobs:
        groups.setdefault(keys[scope](job), []).append(job)
    return groups.values()


QOS_SCOPES = {
    **dict.fromkeys(("MaxTRES", "MaxTRESPerNode", "MinTRES", "MaxTRESMins", "MaxWall"), "job"),
    **dict.fromkeys(("MaxTRESPU", "MaxTRESRunMinsPU", "MaxJobsPU", "MaxSubmitJobsPU"), "user"),
    **dict.fromkeys(("MaxTRESPA", "MaxTRESRunMinsPA", "MaxJobsPA", "MaxSubmitJobsPA"), "account"),
    **dict.fromkeys(("GrpTRES", "GrpTRESRunMins", "GrpTRESMins", "GrpWall", "GrpJobs", "GrpSubmitJobs"), "all"),
}
SEAT_SCOPES = {
    **dict.fromkeys(("MaxTRES", "MaxTRESPerNode", "MaxTRESMins", "MaxWall"), "job"),
    **dict.fromkeys(("MaxJobs", "MaxSubmitJobs"), "all"),
    **dict.fromkeys(("GrpTRES", "GrpTRESRunMins", "GrpTRESMins", "GrpWall", "GrpJobs", "GrpSubmitJobs"), "all"),
}

Measure = Literal["resource", "per node", "minutes asked", "minutes left", "time", "running", "queued", "used"]

MEASURES: Mapping[str, Measure] = {
    **dict.fromkeys(("MaxTRES", "MinTRES", "MaxTRESPU", "MaxTRESPA", "GrpTRES"), "resource"),
    "MaxTRESPerNode": "per node",
    "MaxTRESMins": "minutes asked",
    **dict.fromkeys(("MaxTRESRunMinsPU", "MaxTRESRunMinsPA", "GrpTRESRunMins"), "minutes left"),
    "MaxWall": "time",
    **dict.fromkeys(("MaxJobs", "MaxJobsPU", "MaxJobsPA", "GrpJobs"), "running"),
    **dict.fromkeys(("MaxSubmitJobs", "MaxSubmitJobsPU", "MaxSubmitJobsPA", "GrpSubmitJobs"), "queued"),
    **dict.fromkeys(("GrpTRESMins", "GrpWall"), "used"),
}
"""What each limit is compared with."""


def _offenders(option: Option, limit: float, group: list[QueuedJob]) -> list[QueuedJob]:
    """The jobs of a group that are over a limit: those that run together, and each that waits alone."""
    measure = MEASURES[option[0]]
    if measure == "queued":
        return group if len(group) > limit else []
    running = [job for job in group if not job.waits]
    waiting = [job for job in group if job.waits]
    if measure == "time":  # what runs keeps the time limit it has
        return [job for job in waiting if job.limit is None or job.limit > limit]
    if measure == "running":
        return running if len(running) > limit else waiting if limit == 0 else []
    if option[0] == "MinTRES":
        return [job for job in waiting if job.tres.get(option[1], 0) < limit]
    together = running if sum(_amount(job, option[1], measure) for job in running) > limit else []
    return together + [job for job in waiting if _amount(job, option[1], measure) > limit]


def _amount(job: QueuedJob, tres: str, measure: Measure) -> float:
    amount = float(job.tres.get(tres, 0))
    if measure == "per node":
        return amount / job.nodes
    if measure == "minutes asked":
        return amount * (job.limit or 0.0)
    if measure == "minutes left":
        return amount * ((job.limit if job.waits else job.left) or 0.0)
    return amount
