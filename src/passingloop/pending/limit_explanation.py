"""Why a job waits whose request is in the way: a limit on use or on a job, more than there is, what it may not use."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from passingloop.pending import misfit
from passingloop.pending.answer import Answer, Limit
from passingloop.pending.blocking import blocking_limits, holders_of, release_of
from passingloop.pending.category import limit_kind
from passingloop.pending.wording import amount_text, owner_text
from passingloop.slurm.waiting.ceilings import QUEUED, WALL
from passingloop.slurm.waiting.evidence import Evidence


def explain_limit(evidence: Evidence, answer: Answer) -> Answer:
    """A limit that jobs use up, or one on a single job."""
    kind = limit_kind(evidence.job.reason)
    if kind is None:
        return explain_request(evidence, answer) if answer.category == "request" else _usage(answer)
    limits = blocking_limits(evidence, kind)
    if not limits:
        return replace(answer, unknown=(_no_limit(evidence),))
    limit = limits[0]
    holders = holders_of(evidence, limit)
    hidden = 0.0 if limit.ceiling.measure == "minutes" else limit.ceiling.used - sum(held.amount for held in holders)
    others = tuple(_limit_sentence(evidence, other) for other in limits[1:] if other.exceeded)
    unsure = f"Slurm says {evidence.job.reason}, but the use it shows now leaves room for the job."
    return replace(
        answer,
        summary=_limit_sentence(evidence, limit),
        limit=limit,
        holders=holders,
        hidden=hidden if answer.category == "limit" and hidden > _tolerance(limit) else 0.0,
        release=release_of(evidence, limit, holders) if answer.category == "limit" else None,
        facts=others,
        remedy=_limit_remedy(limit),
        unknown=() if limit.exceeded else (unsure,),
    )


def _tolerance(limit: Limit) -> float:
    """How far a sum over jobs may be off: running minutes are counted at moments some seconds apart."""
    return max(1.0, 0.05 * limit.ceiling.used) if limit.ceiling.measure == "running minutes" else 0.0


def _limit_sentence(evidence: Evidence, limit: Limit) -> str:
    """The limit with its numbers."""
    ceiling = limit.ceiling
    what, owner = ceiling.what, owner_text(ceiling)
    most = amount_text(what, ceiling.limit, ceiling.measure)
    asked = "no time limit" if limit.asked == float("inf") else amount_text(what, limit.asked, ceiling.measure)
    if ceiling.scope == "least":
        return f"It asks for {asked}, and {owner} is for jobs of {most} or more, so it never starts."
    if ceiling.scope in ("job", "node"):
        place = " on one node" if ceiling.scope == "node" else ""
        return f"It asks for {asked}{place}, and {owner} gives a job {most}, so it never starts."
    used = amount_text(what, ceiling.used, ceiling.measure)
    number = used if what in (WALL, "mem") else used.partition(" ")[0]
    who, whose = _using(evidence, limit)
    if ceiling.measure == "minutes":
        return f"{who} used {number} of {whose(most)}; this job may need {asked}."
    if ceiling.measure == "running minutes":
        return f"{who} {number} of {whose(f'{most} left to run')}; this job would add {asked}."
    return f"{who} {number} of {whose(most)}{'' if what == QUEUED else f'; this job asks for {asked}'}."


def _using(evidence: Evidence, limit: Limit) -> tuple[str, Callable[[str], str]]:
    """Who uses the limit up, with "have", and the limit as what its owner gives them."""
    ceiling, job = limit.ceiling, evidence.job
    owner, you = owner_text(ceiling), job.user == evidence.cluster.viewer
    user = "You have" if you else f"{job.user} has"
    if ceiling.owner == "association":
        return user, lambda most: f"the {most} that {owner} gives"
    if ceiling.scope == "user":
        return user, lambda most: f"the {most} that {owner} gives a user"
    if ceiling.scope == "account":
        return f"Account {job.account} has", lambda most: f"the {most} that {owner} gives an account"
    return f"All jobs of {owner} together have", lambda most: f"its {most}"


def _limit_remedy(limit: Limit) -> str | None:
    if limit.ceiling.scope in ("job", "node"):
        return "Ask for less, or use another QOS or account."
    if limit.ceiling.scope == "least":
        return "Ask for more, or use another QOS."
    return None


def _usage(answer: Answer) -> Answer:
    return replace(answer, unknown=("Slurm does not say which limit it is, or how far it is exceeded.",))


def _no_limit(evidence: Evidence) -> str:
    if evidence.ceilings is None:
        return "Slurm does not show its limits to you, so which limit it is, and who uses it up, is not known."
    return "No limit that Slurm shows fits its reason, so which limit it is, and who uses it up, is not known."


def explain_request(evidence: Evidence, answer: Answer) -> Answer:
    """What the job asks for that it cannot get."""
    facts = misfit.misfits(evidence)
    if limit_kind(evidence.job.reason):
        return explain_limit(evidence, answer)
    unknown = () if facts else ("What it asks for seems to be there, so what Slurm lacks is not known.",)
    return replace(answer, facts=facts, unknown=unknown, remedy="Change what it asks for, and submit it again.")


def explain_permission(evidence: Evidence, answer: Answer) -> Answer:
    """Account, QOS or partition that the job may not use."""
    facts = misfit.misfits(evidence)
    remedy = "Submit it with an account, QOS and partition that go together."
    unknown = () if facts else ("Which of account, QOS and partition do not go together is not shown.",)
    return replace(answer, facts=facts, remedy=remedy, unknown=unknown)
