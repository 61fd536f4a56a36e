"""The jobs that have what another one waits for, in the order in which they end, and which of them ends first."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import inf

from passingloop.pending.answer import Holder, Release
from passingloop.pending.wording import time_text
from passingloop.slurm.waiting.queue_table import QueuedJob


def holder_of(job: QueuedJob, amount: float) -> Holder:
    """The job as one that has `amount`; the end of one that waits is not known."""
    ends = job.ends if job.runs else None
    return Holder(job_id=job.job_id, user=job.user, account=job.account, amount=amount, ends=ends)


def in_order_of_end(holders: Iterable[Holder]) -> tuple[Holder, ...]:
    """Those that have something, the one that ends first before the others."""
    return tuple(sorted((held for held in holders if held.amount), key=lambda held: (held.ends or inf, held.job_id)))


def time_of_amount(holders: Sequence[Holder], wanted: float) -> float | None:
    """When the jobs that have `wanted` together have ended, at the latest; None if that is not known."""
    for holder in holders:
        wanted -= holder.amount
        if wanted <= 0:
            return holder.ends
    return None


def first_release(
    holders: Sequence[Holder], now: float, amount_texts: Sequence[str] = (), enough_at: float | None = None
) -> Release | None:
    """The end of the job that ends first; None if no end is known.

    Args:
        amount_texts: what it has, in words.
        enough_at: when enough is free, at the latest.
    """
    first = holders[0] if holders else None
    if first is None or first.ends is None:
        return None
    held = "".join(f", {text}" for text in amount_texts)
    what = f"job {first.job_id} ({first.user}{held}) ends at {time_text(first.ends, now)} at the latest"
    return Release(what=what, at=first.ends, enough_at=enough_at)
