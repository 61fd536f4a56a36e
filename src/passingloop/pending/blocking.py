"""Which limit stands in a job's way, which jobs use it up, and what frees it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from math import inf, log2

from passingloop.pending.answer import Holder, Limit, Release
from passingloop.pending.category import LimitKind
from passingloop.pending.holders import first_release, holder_of, in_order_of_end, time_of_amount
from passingloop.pending.wording import amount_text, time_text
from passingloop.slurm.waiting.ceilings import QUEUED, RUNNING, WALL, Ceiling
from passingloop.slurm.waiting.evidence import Evidence
from passingloop.slurm.waiting.queue_table import QueuedJob


def blocking_limits(evidence: Evidence, kind: LimitKind) -> list[Limit]:
    """The limits that the reason can mean: those that are exceeded; if none is, all of that kind."""
    found = [
        limit_of(evidence.job, ceiling, safe=evidence.cluster.safe)
        for ceiling in applying(evidence)
        if kind.fits(ceiling)
    ]
    return [limit for limit in found if limit.exceeded] or found


def applying(evidence: Evidence) -> Iterator[Ceiling]:
    """The limits that apply to the job: of its QOS, its partitions' and its accounts'."""
    if evidence.ceilings is None:
        return
    job, known = evidence.job, evidence.ceilings
    ruled = set()  # what a QOS limits, an account does not limit any more
    for name in dict.fromkeys([job.qos, *_partition_qos(evidence, job)]):
        for ceiling in known.qos.get(name, ()):
            if ceiling.scope != "account" or ceiling.name == f"{name}/{job.account}":
                ruled.add((ceiling.scope, ceiling.what, ceiling.measure))
                yield ceiling
    places = [(job.account, partition) for partition in job.partitions] + [(job.account, "")]
    own = next((known.associations[place] for place in places if place in known.associations), ())
    above = [ceiling for account in known.chain(job.account) for ceiling in known.accounts.get(account, ())]
    for ceiling in (*above, *own):
        if (ceiling.scope, ceiling.what, ceiling.measure) not in ruled:
            yield ceiling


def limit_of(job: QueuedJob, ceiling: Ceiling, *, safe: bool) -> Limit:
    """What the job adds to a limit, and whether it is too much.

    Args:
        safe: whether Slurm starts a job only if its whole time fits into a budget that is used up over time
            (AccountingStorageEnforce=safe); else anything that is left is enough.
    """
    asked = _asked(job, ceiling)
    if ceiling.scope == "least":
        exceeded = asked < ceiling.limit
    elif ceiling.scope in ("job", "node"):
        exceeded = asked > ceiling.limit
    elif ceiling.measure == "minutes" and not safe:
        exceeded = ceiling.used >= ceiling.limit
    else:
        exceeded = ceiling.used + asked > ceiling.limit
    return Limit(ceiling=ceiling, asked=asked, exceeded=exceeded)


def holders_of(evidence: Evidence, limit: Limit) -> tuple[Holder, ...]:
    """The jobs that use the limit up, as far as they are shown; those that end first come first."""
    ceiling = limit.ceiling
    if ceiling.scope in ("job", "node", "least") or ceiling.measure == "minutes":
        return ()
    counts = _counting(evidence, ceiling)
    jobs = [job for job in evidence.cluster.jobs if job.runs or (ceiling.what == QUEUED and job.waits)]
    return in_order_of_end(holder_of(job, _held(job, ceiling, evidence.now)) for job in jobs if counts(job))


def release_of(evidence: Evidence, limit: Limit, holders: Sequence[Holder]) -> Release | None:
    """What frees enough of the limit first."""
    ceiling = limit.ceiling
    if ceiling.measure == "minutes":
        return _renewal(evidence, limit)
    wanted = ceiling.used + limit.asked - ceiling.limit
    # Of minutes that are left to run, some are freed all the time.
    enough_at = None if ceiling.measure == "running minutes" else time_of_amount(holders, wanted)
    counted = ceiling.what in (RUNNING, QUEUED) or not holders
    amounts = () if counted else (amount_text(ceiling.what, holders[0].amount, ceiling.measure),)
    return first_release(holders, evidence.now, amounts, enough_at)


def _partition_qos(evidence: Evidence, job: QueuedJob) -> list[str]:
    """The QOS of the partitions themselves, whose limits apply to all jobs in them."""
    known = evidence.cluster.partitions
    return [own for name in job.partitions if name in known and (own := known[name].own_qos)]


def _counting(evidence: Evidence, ceiling: Ceiling) -> Callable[[QueuedJob], bool]:
    """Whether a job counts towards the limit."""
    job = evidence.job
    name = ceiling.name.partition("/")[0]
    if ceiling.owner == "association":
        return lambda other: other.user == job.user and other.account == job.account
    if ceiling.owner == "account":
        known = evidence.ceilings
        return lambda other: known is not None and name in known.chain(other.account)

    def in_qos(other: QueuedJob) -> bool:
        if ceiling.scope == "user" and other.user != job.user:
            return False
        if ceiling.scope == "account" and other.account != job.account:
            return False
        return other.qos == name or name in _partition_qos(evidence, other)

    return in_qos


def _asked(job: QueuedJob, ceiling: Ceiling) -> float:
    minutes = inf if job.limit is None else job.limit / 60
    if ceiling.what == QUEUED:
        return 0.0  # the job is in the use already
    if ceiling.what == RUNNING:
        return 1.0
    if ceiling.what == WALL:
        return minutes
    amount = _amount(job, ceiling.what)
    if ceiling.scope == "node":
        return amount / job.nodes
    return amount * minutes if ceiling.measure != "amount" and amount else amount


def _held(job: QueuedJob, ceiling: Ceiling, now: float) -> float:
    if ceiling.what == QUEUED:
        return float(job.tasks)
    if ceiling.what == RUNNING:
        return 1.0
    amount = _amount(job, ceiling.what)
    if ceiling.measure == "running minutes":
        return amount * max(0.0, (job.ends or now) - now) / 60
    return amount


def _amount(job: QueuedJob, what: str) -> float:
    if what == "node":
        return job.tres.get("node", float(job.nodes))
    if what.startswith("license/") and what not in job.tres:
        return float(license_counts(job.licenses).get(what.partition("/")[2], 0))
    return job.tres.get(what, 0.0)


def license_counts(text: str) -> dict[str, int]:
    """The licences that a job asks for, such as ``matlab:2,comsol@server``."""
    parts = [part.replace("=", ":") for part in re.split(r"[,;|]", text) if part]
    return {part.partition(":")[0]: int(part.partition(":")[2] or 1) for part in parts}


def _renewal(evidence: Evidence, limit: Limit) -> Release:
    """When a budget of amounts × minutes, which was used up, has room again."""
    now, cluster = evidence.now, evidence.cluster
    asked = limit.asked if cluster.safe else 0.0
    if asked > limit.ceiling.limit or limit.ceiling.limit == 0:
        return Release(what="nothing by itself: it asks for more than the whole budget")
    if cluster.reset not in ("NONE", "NOW"):
        at = next_reset(cluster.reset, now)
        when = f" on {datetime.fromtimestamp(at).astimezone():%Y-%m-%d}" if at else ""
        return Release(what=f"the budget is given anew {cluster.reset.lower()}, next{when}", at=at, enough_at=at)
    if cluster.half_life is None:
        return Release(what="nothing by itself: use is never forgotten here, so an administrator has to give more")
    room = limit.ceiling.limit - asked
    days = f"{cluster.half_life / 86400:g} days"
    if room <= 0:
        return Release(
            what=f"use counts for half after {days}, but the job needs the whole budget, so it waits for ever"
        )
    at = now + cluster.half_life * max(0.0, log2(limit.ceiling.used / room)) if limit.ceiling.used else now
    what = f"use counts for half after {days}: enough is left at {time_text(at, now)} if nobody uses more until then"
    return Release(what=what, at=at, enough_at=at)


def next_reset(period: str, now: float) -> float | None:
    """The next midnight (local time) at which PriorityUsageResetPeriod clears the use; weeks begin on Sunday."""
    today = datetime.fromtimestamp(now).replace(hour=0, minute=0, second=0, microsecond=0)
    month, year = today.replace(day=1), today.replace(month=1, day=1)
    after = {
        "DAILY": today + timedelta(days=1),
        "WEEKLY": today + timedelta(days=7 - (today.weekday() + 1) % 7),
        "MONTHLY": (month + timedelta(days=32)).replace(day=1),
        "QUARTERLY": (today.replace(month=3 * ((today.month - 1) // 3) + 1, day=1) + timedelta(days=95)).replace(day=1),
        "YEARLY": (year + timedelta(days=370)).replace(month=1, day=1),
    }.get(period)
    return after.timestamp() if after else None
