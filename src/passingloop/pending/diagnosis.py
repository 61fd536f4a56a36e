"""Why a job waits: `explain`, a function from evidence to an answer, with a function for each kind of reason."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from passingloop.pending import misfit, outside, room
from passingloop.pending.answer import Answer, Category, Rank, Release
from passingloop.pending.category import NEVER, category_of, first_word
from passingloop.pending.holders import first_release
from passingloop.pending.limit_explanation import explain_limit, explain_permission, explain_request
from passingloop.pending.rank import priority_parts, rank_of
from passingloop.pending.wording import amount_text, count_text, time_text
from passingloop.slurm.notation import node_names
from passingloop.slurm.reasons import reason_sentence
from passingloop.slurm.states import job_end
from passingloop.slurm.waiting.evidence import Evidence

SHOWN_FIELDS = (
    "JobState",
    "Reason",
    "Priority",
    "Partition",
    "Account",
    "QOS",
    "TRES",
    "ReqTRES",
    "TimeLimit",
    "EligibleTime",
    "StartTime",
    "LastSchedEval",
    "Dependency",
    "Features",
    "Licenses",
    "Reservation",
    "ReqNodeList",
    "Restarts",
)
"""The fields of ``scontrol show job`` that are shown where the evidence does not say why a job waits."""


def explain(evidence: Evidence) -> Answer:
    """Why the job waits; of one that runs or has ended, that it does."""
    job, now = evidence.job, evidence.now
    if not job.waits:
        return _standing(evidence)
    category = category_of(job.reason)
    rank, ahead = rank_of(evidence)
    answer = Answer(
        job_id=job.job_id,
        category=category,
        reason=job.reason,
        summary=_sentence(reason_sentence(job.reason)),
        unit="licences" if category == "licence" else "gres/gpu" if job.gpus else "cpu",
        never=category in ("request", "held", "permission") or first_word(job.reason) in NEVER,
        rank=rank,
        parts=priority_parts(evidence, ahead) if rank else (),
        expected_start=job.started if job.started and job.started > now and category != "held" else None,
    )
    answer = EXPLAINED.get(category, _unknown)(evidence, answer)
    return replace(answer, evidence=_shown(evidence)) if answer.unknown else answer


def _standing(evidence: Evidence) -> Answer:
    """The answer for a job that does not wait."""
    job, now = evidence.job, evidence.now
    if job.runs:
        where = f" on {job.node_list}" if job.node_list else ""
        since = f" since {time_text(job.started, now)}" if job.started else ""
        until = f", until {time_text(job.ends, now)} at the latest" if job.ends else ""
        state = "" if job.state == "RUNNING" else f" Slurm says {job.state}."
        summary = f"It does not wait: it runs{since}{where}{until}.{state}"
        return Answer(job_id=job.job_id, category="running", reason=job.reason, summary=summary)
    how = f": {end}" if (end := job_end(job.state)) else ""
    ended = f" at {time_text(job.ends, now)}" if job.ends else ""
    summary = f"It does not wait: it ended{ended} ({job.state}{how})."
    return Answer(job_id=job.job_id, category="ended", reason=job.reason, summary=summary)


def _resources(evidence: Evidence, answer: Answer) -> Answer:
    here = room.room_for(evidence)
    facts = (*misfit.misfits(evidence), *outside.reservation_facts(evidence), *room.outage_facts(evidence))
    return replace(
        answer, summary=here.sentence, holders=here.holders, release=here.release, facts=facts, hidden=_hidden(evidence)
    )


def _hidden(evidence: Evidence) -> float:
    """What the nodes say is held there beyond the jobs that are shown."""
    nodes = room.usable_nodes(evidence)
    names = {node.name for node in nodes}
    gpus = bool(evidence.job.gpus)
    held = sum(node.gpus_held if gpus else node.cpus_held for node in nodes)
    what = "gres/gpu" if gpus else "cpu"
    seen = sum(
        job.tres.get(what, 0.0) * len(names & set(job.node_names)) / job.nodes
        for job in evidence.cluster.jobs
        if job.runs
    )
    return max(0.0, held - seen)


def _priority(evidence: Evidence, answer: Answer) -> Answer:
    rank = answer.rank
    here = room.room_for(evidence)
    if rank is None or rank.place == 1:
        unknown = ("Slurm says that jobs of higher priority are before it, but the queue shows none to you.",)
        return replace(answer, release=here.release, holders=here.holders, unknown=unknown)
    summary = f"{_ahead_sentence(rank)} {_deciding_sentence(answer)}".strip()
    facts = (*outside.reservation_facts(evidence), *room.outage_facts(evidence))
    release = replace(here.release, enough_at=None) if here.release else None  # it is for the jobs ahead
    return replace(answer, summary=summary, holders=here.holders, release=release, facts=facts)


def _ahead_sentence(rank: Rank) -> str:
    ahead = rank.place - 1
    own = f", {'all' if rank.own_ahead == ahead else rank.own_ahead} of the same user" if rank.own_ahead else ""
    verb = "is" if ahead == 1 else "are"
    wanted = f", and ask{'s' if ahead == 1 else ''} for {amount_text('gres/gpu', rank.gpus_ahead)}"
    return f"{count_text(ahead, 'job')} of higher priority {verb} before it{own}{wanted if rank.gpus_ahead else ''}."


def _deciding_sentence(answer: Answer) -> str:
    """Which part of the priority makes most of the difference to the jobs ahead."""
    gaps = {part.name: (part.median or 0) - part.own for part in answer.parts}
    name = max(gaps, key=lambda key: gaps[key], default=None)
    if name is None or gaps[name] <= 0:
        return ""
    part = next(part for part in answer.parts if part.name == name)
    return f"What they have more of is {name}: {part.median:,} (median) against {part.own:,}."


def _dependency(evidence: Evidence, answer: Answer) -> Answer:
    facts = outside.dependency_facts(evidence)
    unknown = () if facts else ("Slurm does not show which job it waits for.",)
    failed = "(failed)" in evidence.job.dependency or answer.never
    remedy = f"Cancel it: scancel {answer.job_id}. Then submit it again." if failed else None
    release = None if failed else outside.dependency_release(evidence)
    return replace(answer, facts=facts, unknown=unknown, remedy=remedy, never=failed, release=release)


def _time(evidence: Evidence, answer: Answer) -> Answer:
    job, now = evidence.job, evidence.now
    at = job.eligible or job.started
    if at is None:
        return replace(answer, unknown=("Slurm does not show when it may start.",))
    restarts = int(evidence.fields.get("Restarts", "0") or 0)
    why = "It was requeued, and Slurm lets a requeued job wait" if restarts else "It is not to start before"
    summary = f"{why} {'until ' if restarts else ''}{time_text(at, now)}."
    release = Release(what=f"it may start at {time_text(at, now)}", at=at, enough_at=at)
    return replace(answer, summary=summary, release=release, remedy=None if restarts else _begin_now(evidence))


def _begin_now(evidence: Evidence) -> str:
    return f"scontrol update JobId={evidence.job.job_id} StartTime=now lets it start at once."


def _held(evidence: Evidence, answer: Answer) -> Answer:
    restarts = int(evidence.fields.get("Restarts", "0") or 0)
    facts = (f"It has been requeued {count_text(restarts, 'time')}.",) if restarts else ()
    by_admin = first_word(evidence.job.reason) == "JobHeldAdmin"
    remedy = "Ask an administrator." if by_admin else f"scontrol release {evidence.job.job_id} lets it go."
    return replace(answer, facts=facts, remedy=remedy)


def _reservation(evidence: Evidence, answer: Answer) -> Answer:
    job, now = evidence.job, evidence.now
    own = outside.own_reservation(evidence)
    if answer.never:
        return replace(answer, remedy="Submit it again without the reservation, or with another one.")
    if own is None:
        lacking = f"Reservation {job.reservation} is not shown to you, so when it begins is not known."
        return replace(answer, unknown=(lacking,))
    holders = outside.reservation_holders(evidence)
    if own.start and own.start > now:
        begins = time_text(own.start, now)
        summary = f"Its reservation {own.name} begins at {begins}."
        opened = Release(what=f"reservation {own.name} begins at {begins}", at=own.start, enough_at=own.start)
        return replace(answer, summary=summary, release=opened)
    until = f" and ends at {time_text(own.end, now)}" if own.end else ""
    summary = f"Its reservation {own.name} has begun{until}, and has no room for the job now."
    release = first_release(holders, now)
    return replace(answer, summary=summary, holders=holders, release=release)


def _licence(evidence: Evidence, answer: Answer) -> Answer:
    scarce = outside.scarce_license(evidence)
    if scarce is None:
        unknown = ("Slurm does not show a licence of which too few are free.",)
        return replace(answer, unknown=unknown)
    licence, asked = scarce
    holders = outside.license_holders(evidence, licence.name)
    kept = f", {licence.reserved} are reserved" if licence.reserved else ""
    summary = f"{licence.used} of {licence.total} licences {licence.name} are in use{kept}; this job asks for {asked}."
    release = first_release(holders, evidence.now)
    hidden = max(0.0, licence.used - sum(held.amount for held in holders))
    return replace(answer, summary=summary, holders=holders, release=release, hidden=hidden)


def _nodes(evidence: Evidence, answer: Answer) -> Answer:
    job = evidence.job
    states = evidence.cluster.partition_states
    closed = tuple(f"Partition {name} is {states[name]}." for name in job.partitions if states.get(name, "UP") != "UP")
    named = job.reason.partition("UnavailableNodes:")[2]
    outages = room.outage_facts(evidence, node_names(named) if named else ())
    kept = outside.reservation_facts(evidence)
    facts = (*closed, *kept, *outages)
    blocking = outside.overlapping_reservations(evidence)
    release = None
    if kept and not closed and blocking[0].end and not named:
        ends = time_text(blocking[0].end, evidence.now)
        release = Release(what=f"reservation {blocking[0].name} ends at {ends}", at=blocking[0].end)
    remedy = (
        "Shorten its time, so that it ends before the reservation." if release and _begins_later(evidence) else None
    )
    unknown = () if facts else ("Which nodes are lacking, and until when, is not shown.",)
    return replace(answer, facts=facts, release=release, remedy=remedy, unknown=unknown)


def _begins_later(evidence: Evidence) -> bool:
    return (outside.overlapping_reservations(evidence)[0].start or 0.0) > evidence.now


def _array(evidence: Evidence, answer: Answer) -> Answer:
    holders = outside.array_holders(evidence)
    throttle = evidence.fields.get("ArrayTaskThrottle")
    most = f" of the {throttle} that may" if throttle else ""
    summary = f"{count_text(len(holders), 'task')}{most} run at the same time in its array."
    remedy = f"scontrol update JobId={evidence.job.array_id} ArrayTaskThrottle=N lets N run (sweep.parallel)."
    release = first_release(holders, evidence.now, enough_at=holders[0].ends if holders else None)
    return replace(answer, summary=summary, holders=holders, release=release, remedy=remedy)


def _unseen(evidence: Evidence, answer: Answer) -> Answer:
    looked = evidence.fields.get("LastSchedEval", "Unknown")
    fact = f"Slurm last looked at it at {looked}." if looked not in ("Unknown", "None", "") else "It is new."
    return replace(answer, facts=(fact,))


def _system(evidence: Evidence, answer: Answer) -> Answer:
    del evidence
    return answer


def _unknown(evidence: Evidence, answer: Answer) -> Answer:
    reason = evidence.job.reason
    return replace(answer, unknown=(f"What {reason} means, and what ends it, is not known here.",))


def _shown(evidence: Evidence) -> dict[str, str]:
    fields = {name: evidence.fields[name] for name in SHOWN_FIELDS if name in evidence.fields}
    return {name: value for name, value in fields.items() if value not in ("", "(null)", "N/A")}


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."


EXPLAINED: Mapping[Category, Callable[[Evidence, Answer], Answer]] = {
    "limit": explain_limit,
    "request": explain_request,
    "resources": _resources,
    "priority": _priority,
    "dependency": _dependency,
    "time": _time,
    "held": _held,
    "reservation": _reservation,
    "licence": _licence,
    "nodes": _nodes,
    "permission": explain_permission,
    "array": _array,
    "system": _system,
    "unseen": _unseen,
    "unknown": _unknown,
}
