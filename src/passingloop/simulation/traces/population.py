"""Who submits the jobs of a trace, and which QOS they ask for, where the source does not say. All of it seeded."""

from __future__ import annotations

import random
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace

from passingloop.errors import ConfigError
from passingloop.simulation.trace_jobs import TraceJob
from passingloop.simulation.traces.offered_load import chosen_for
from passingloop.simulation.traces.trace import HOUR, Trace, bursts_of, seeded

INTERACTIVE, SCAVENGER = "interactive", "scavenger"

SESSION_S = 4 * HOUR
"""The longest interactive session: the time limit of its QOS in the recommended policy."""

PAUSE_S = 0.25 * HOUR
"""Between two interactive sessions of one user, so that a session that began late is over before the next."""


def with_users(trace: Trace, users: int, seed: int) -> Trace:
    """The trace with so many users, each in one account.

    The jobs of a burst are of one user. An account has users in proportion to its bursts, one at least and not more
    than bursts. Each user has one burst at least; the others fall on them by Zipf's law, on the k-th user of an account
    1/k of those of the first.

    Raises:
        ConfigError: fewer users than accounts, or more than bursts.
    """
    bursts = bursts_of(trace.jobs)
    counts = Counter(burst[0].account for burst in bursts)
    if not len(counts) <= users <= len(bursts):
        raise ConfigError(
            f"users={users}: the trace has {len(counts)} accounts, whose jobs come in {len(bursts)} bursts. "
            "Set a number between them."
        )
    rng = seeded(seed, "users")
    parts = proportional(counts, users)
    owners = {account: _owners(account, counts[account], parts[account], rng) for account in sorted(counts)}
    jobs = [replace(job, user=user) for burst in bursts for user in (owners[burst[0].account].pop(),) for job in burst]
    return trace.with_jobs(
        jobs,
        f"The jobs of {len(counts)} accounts come in {len(bursts)} bursts, spread over {users} users by Zipf's law.",
    )


def _owners(account: str, bursts: int, users: int, rng: random.Random) -> list[str]:
    """The user of each burst of an account."""
    names = [f"{account}-u{number:02}" for number in range(1, users + 1)]
    drawn = rng.choices(names, [1 / number for number in range(1, users + 1)], k=bursts - users)
    owners = names + drawn
    rng.shuffle(owners)
    return owners


def proportional(amounts: Mapping[str, int], total: int) -> dict[str, int]:
    """`total` in whole parts in proportion to amounts: each part one at least, and its amount at most.

    Args:
        total: between the number of amounts and their sum.
    """
    parts = dict.fromkeys(amounts, 1)
    whole = sum(amounts.values())
    for _ in range(total - len(parts)):
        open_ = [name for name in parts if parts[name] < amounts[name]]
        parts[max(open_, key=lambda name: (amounts[name] * total / whole - parts[name], name))] += 1
    return parts


def with_interactive(trace: Trace, share: float, seed: int) -> Trace:
    """The trace with a share of its 1-GPU jobs in the QOS `INTERACTIVE`.

    A person sits in one session at a time: they are chosen at random from the jobs that are no longer than `SESSION_S`
    and do not overlap with another session of the same user, as if they began when they are submitted.
    """
    rng = seeded(seed, INTERACTIVE)
    single = [job for job in trace.jobs if job.gpus == 1]
    wanted = round(share * len(single))
    candidates = [job for job in single if 0 < job.duration_s <= SESSION_S and job.qos in ("", INTERACTIVE)]
    rng.shuffle(candidates)
    chosen: set[int] = set()
    sessions: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for job in candidates:
        if len(chosen) == wanted:
            break
        begin, end = job.submit_s, job.submit_s + job.duration_s + PAUSE_S
        at = bisect_left(sessions[job.user], (begin, end))
        before, after = sessions[job.user][at - 1 : at], sessions[job.user][at : at + 1]
        if all(other[1] <= begin for other in before) and all(end <= other[0] for other in after):
            sessions[job.user].insert(at, (begin, end))
            chosen.add(job.number)
    jobs = [replace(job, qos=INTERACTIVE) if job.number in chosen else job for job in trace.jobs]
    few = f"; {wanted} were asked for, but more would overlap" if len(chosen) < wanted else ""
    return trace.with_jobs(
        jobs, f"{len(chosen)} of {len(single)} 1-GPU jobs, up to {SESSION_S / HOUR:g} hours long, are interactive{few}."
    )


def with_scavenger(trace: Trace, share: float, seed: int) -> Trace:
    """The trace with a share of the GPU-hours of its jobs without a QOS in the QOS `SCAVENGER`, in random bursts."""
    rng = seeded(seed, SCAVENGER)
    without = [job for job in trace.jobs if not job.qos]
    bursts = bursts_of(without)
    target = share * sum(map(_gpu_seconds, bursts))
    chosen = {job.number for burst in chosen_for(bursts, _gpu_seconds, target, rng) for job in burst}
    jobs = [replace(job, qos=SCAVENGER) if job.number in chosen else job for job in trace.jobs]
    return trace.with_jobs(jobs, f"{len(chosen)} jobs with {share:.0%} of the batch jobs' GPU-hours are {SCAVENGER}.")


def with_qos(trace: Trace, names: Mapping[str, str]) -> Trace:
    """The trace with the QOS of its jobs under other names; "" is the default one.

    Raises:
        ConfigError: no job has a QOS that is to be named otherwise.
    """
    there = {job.qos for job in trace.jobs}
    if missing := sorted(set(names) - there):
        raise ConfigError(
            f"qos.{missing[0]}={names[missing[0]]}: no job of {trace.name} has the QOS {missing[0]!r}. "
            f"There are {', '.join(sorted(name or '(none)' for name in there))}."
        )
    return trace.with_jobs([replace(job, qos=names.get(job.qos, job.qos)) for job in trace.jobs])


def account_names(count: int) -> list[str]:
    """Names for accounts that are made up."""
    return [f"group{number:02}" for number in range(1, count + 1)]


def _gpu_seconds(burst: Sequence[TraceJob]) -> float:
    return sum(job.gpus * job.duration_s for job in burst)
