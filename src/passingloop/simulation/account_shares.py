"""What accounts got of their shares: the shares by the policy's tree of accounts, and the use over time. Pure."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass

from passingloop.policy.fields import PARENT, ROOT, SHARES, Options
from passingloop.report.simulation.policy_figures import AccountShare
from passingloop.simulation.trace_jobs import Outcome

LEAST_ASKED = 0.01
"""The part of the time from which on it means something what an account got of its share."""


def configured_shares(accounts: Mapping[str, Options], active: Collection[str]) -> dict[str, float]:
    """The part of the cluster that each of the `active` accounts is to have; they add up to 1.

    At each level the shares count among the accounts that are active or have an active one below them, as in Slurm's
    fair tree, which gives the share of those that use nothing to their siblings. An account that is not in `accounts`
    has one share at the top. The jobs of an account that has others below it count as one more of these, with one
    share.
    """
    below: dict[str, set[str]] = defaultdict(set)
    for name in active:
        for child, parent in itertools.pairwise(_chain(accounts, name)):
            below[parent].add(child)
    parts: dict[str, float] = {}

    def divide(parent: str, part: float) -> None:
        weights = {child: _weight(accounts, child) for child in sorted(below[parent])}
        own = 1 if parent in active and weights else 0
        whole = sum(weights.values()) + own
        if not weights:
            parts[parent] = part
        elif own:
            parts[parent] = part * own / whole
        for child, weight in weights.items():
            divide(child, part * weight / whole)

    if active:
        divide(ROOT, 1.0)
    return parts


def _chain(accounts: Mapping[str, Options], name: str) -> Iterator[str]:
    """The account and those above it, the root account last."""
    while name != ROOT:
        yield name
        name = accounts.get(name, {}).get(PARENT, ROOT)
    yield ROOT


def _weight(accounts: Mapping[str, Options], name: str) -> int:
    """``parent`` is one share: it compares the users of the account with its siblings."""
    shares = accounts.get(name, {}).get(SHARES, "1")
    return 1 if shares == "parent" else int(shares)


@dataclass(slots=True)
class _Use:
    """GPUs of an account: what it holds and what its waiting jobs ask for now, and the sums over time."""

    fair: float
    held: int = 0
    waiting: int = 0
    since: float = 0.0
    asked_seconds: float = 0.0
    asked_gpu_seconds: float = 0.0
    gpu_seconds: float = 0.0

    def advance(self, until: float) -> None:
        """Count what has been so since the last change."""
        seconds = until - self.since
        self.gpu_seconds += self.held * seconds
        if self.held + self.waiting >= self.fair:
            self.asked_seconds += seconds
            self.asked_gpu_seconds += self.held * seconds
        self.since = until


def account_shares(
    outcomes: Collection[Outcome], accounts: Mapping[str, Options], gpus: int, length: float
) -> tuple[AccountShare, ...]:
    """What each account got in the time from 0 to `length`, those with the largest shares first."""
    active = {outcome.job.account for outcome in outcomes if outcome.job.gpus}
    parts = configured_shares(accounts, active)
    uses = {name: _Use(fair=part * gpus) for name, part in parts.items()}
    for moment, account, held, waiting in sorted(_changes(outcomes)):
        use = uses[account]
        use.advance(min(max(moment, 0.0), length))
        use.held += held
        use.waiting += waiting
    for use in uses.values():
        use.advance(length)
    whole = sum(use.gpu_seconds for use in uses.values())
    found = [_share(name, parts[name], use, whole, length) for name, use in uses.items()]
    return tuple(sorted(found, key=lambda one: (-one.configured, one.account)))


def _share(account: str, part: float, use: _Use, whole: float, length: float) -> AccountShare:
    asked = use.asked_seconds / length
    return AccountShare(
        account=account,
        configured=part,
        used=use.gpu_seconds / whole if whole else None,
        asked=asked,
        got=use.asked_gpu_seconds / (use.fair * use.asked_seconds) if use.asked_seconds else None,
        counts=asked >= LEAST_ASKED,
    )


def _changes(outcomes: Iterable[Outcome]) -> Iterator[tuple[float, str, int, int]]:
    """Moment, account, and by how many GPUs what it holds and what waits for it grow then."""
    for outcome in outcomes:
        gpus, account = outcome.job.gpus, outcome.job.account
        if not gpus:
            continue
        for start, end in waiting_times(outcome):
            yield start, account, 0, gpus
            yield end, account, 0, -gpus
        for segment in outcome.segments:
            yield segment.start_s, account, gpus, 0
            yield segment.end_s, account, -gpus, 0


def waiting_times(outcome: Outcome) -> Iterator[tuple[float, float]]:
    """When the job waited: at first, and after each preemption. One that never started waits until it is cancelled, or
    for ever."""
    job = outcome.job
    if not outcome.segments:
        given_up = job.patience_s if job.patience_s is not None else float("inf")
        yield outcome.eligible_s, max(outcome.eligible_s, job.submit_s + given_up)
        return
    yield outcome.eligible_s, outcome.segments[0].start_s
    yield from ((one.end_s, other.start_s) for one, other in itertools.pairwise(outcome.segments))
    if outcome.segments[-1].end == "preempted":
        yield outcome.segments[-1].end_s, float("inf")


def jain_index(shares: Iterable[AccountShare]) -> float | None:
    """Jain, Chiu and Hawe (1984), A Quantitative Measure of Fairness, of what the accounts got up to their share."""
    parts = [min(one.got, 1.0) for one in shares if one.counts and one.got is not None]
    squares = sum(part * part for part in parts)
    if len(parts) < 2:
        return None
    return sum(parts) ** 2 / (len(parts) * squares) if squares else 1.0
