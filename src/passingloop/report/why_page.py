"""Why a job waits, as a page: a label and a text for each thing that is known; on a terminal fitted to its width."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from math import inf

from passingloop.pending.answer import SOON, Answer, Holder, Rank, Trial
from passingloop.pending.wording import amount_text, count_text, time_text

LABEL = 10
"""Characters of the column of labels."""

MAX_HOLDERS = 4
"""Users that are listed as holders; the rest is counted."""

MAX_JOBS = 3
"""Jobs that are listed of a user."""


def lines(answer: Answer, title: str, now: float, *, owner_settings: bool) -> list[str]:
    """A line for each thing that is known.

    Args:
        title: what the answer is about.
        owner_settings: whether changes are written as settings of passingloop, rather than as options of sbatch.
    """
    rows = _rows(answer, now, owner_settings=owner_settings)
    return [title, *(f"{label:<{LABEL}}{text}" for label, text in rows)]


def page(answer: Answer, title: str, now: float, width: int, *, owner_settings: bool, colour: bool) -> Iterator[str]:
    """The same, wrapped for a terminal of `width` characters."""
    width = max(width, 40)
    for line in textwrap.wrap(title, width):
        yield f"\x1b[1m{line}\x1b[0m" if colour else line
    for label, text in _rows(answer, now, owner_settings=owner_settings):
        wrapped = textwrap.wrap(text, width - LABEL, break_on_hyphens=False) or [""]
        head = f"{label:<{LABEL}}"
        yield (f"\x1b[36m{head}\x1b[0m" if colour else head) + wrapped[0]
        yield from (" " * LABEL + line for line in wrapped[1:])


def _rows(answer: Answer, now: float, *, owner_settings: bool) -> Iterator[tuple[str, str]]:
    told = answer.category in ("running", "ended") or answer.reason in answer.summary  # also if there is none
    yield "why", answer.summary if told else f"{answer.summary} ({answer.reason})"
    yield from (("", fact) for fact in answer.facts)
    yield from _holder_rows(answer, now)
    if answer.release:
        yield "freed by", f"{answer.release.what[:1].upper()}{answer.release.what[1:]}{_enough(answer, now)}."
    if answer.remedy:
        yield "to do", answer.remedy
    if answer.rank:
        yield "place", _rank_text(answer.rank)
    yield from _priority_rows(answer)
    if answer.expected_start:
        but = ", which leaves limits like this one out" if answer.category == "limit" else ""
        yield "start", f"expected {time_text(answer.expected_start, now)}, by Slurm's estimate{but}"
    elif answer.unchanged_start:
        start = time_text(answer.unchanged_start, now)
        yield "start", f"not estimated; the same request would start {start} if it were submitted now"
    yield from _trial_rows(answer, now, owner_settings=owner_settings)
    yield from (("unknown", text) for text in answer.unknown)
    if answer.evidence:
        yield "", "Slurm shows " + ", ".join(f"{name}={value}" for name, value in answer.evidence.items())


def _holder_rows(answer: Answer, now: float) -> Iterator[tuple[str, str]]:
    """A line for each user that has what is waited for, the one with most of it first."""
    users: dict[str, list[Holder]] = {}
    for holder in answer.holders:
        users.setdefault(holder.user, []).append(holder)
    order = sorted(users, key=lambda user: -sum(holder.amount for holder in users[user]))
    label = "held by"
    for user in order[:MAX_HOLDERS]:
        yield label, f"{user}: {_held_text(answer, users[user], now)}"
        label = ""
    if len(order) > MAX_HOLDERS:
        rest = [holder for user in order[MAX_HOLDERS:] for holder in users[user]]
        amount = _amount(answer, sum(holder.amount for holder in rest))
        yield "", f"{count_text(len(order) - MAX_HOLDERS, 'more user')}: {amount}"
    if answer.hidden:
        yield label, f"{_amount(answer, answer.hidden)} by jobs that Slurm does not show you"


def _held_text(answer: Answer, holders: Sequence[Holder], now: float) -> str:
    amount = _amount(answer, sum(holder.amount for holder in holders))
    names = ", ".join(holder.job_id for holder in holders[:MAX_JOBS])
    more = f" and {len(holders) - MAX_JOBS} more" if len(holders) > MAX_JOBS else ""
    last = max(holder.ends or inf for holder in holders)
    until = f", until {time_text(last, now)} at the latest" if last < inf else ""
    return f"{amount} in job{'s' if len(holders) > 1 else ''} {names}{more}{until}"


def _amount(answer: Answer, amount: float) -> str:
    if answer.limit:
        return amount_text(answer.limit.ceiling.what, amount, answer.limit.ceiling.measure)
    return count_text(round(amount), "licence") if answer.unit == "licences" else amount_text(answer.unit, amount)


def _enough(answer: Answer, now: float) -> str:
    release = answer.release
    if release is None or release.enough_at is None:
        return ""
    if release.enough_at == release.at:
        others = ", unless other jobs take it" if answer.rank and answer.rank.place > 1 else ""
        return f"; that is enough{others}" if answer.holders else ""
    return f"; enough is free at {time_text(release.enough_at, now)} at the latest, unless other jobs take it"


def _rank_text(rank: Rank) -> str:
    ahead = rank.place - 1
    text = f"{rank.place:,} of {rank.of:,}"
    if not ahead:
        return f"{text}: no job is before it"
    many = rank.limited_ahead > 1
    waits = (
        f"{rank.limited_ahead:,} of them {'wait for limits of their own' if many else 'waits for a limit of its own'}"
    )
    gpus = f"; those before it ask for {amount_text('gres/gpu', rank.gpus_ahead)}" if rank.gpus_ahead else ""
    return f"{text}{gpus}{f'; {waits}' if rank.limited_ahead else ''}"


def _priority_rows(answer: Answer) -> Iterator[tuple[str, str]]:
    if not answer.parts:
        return
    total = sum(part.own for part in answer.parts)
    yield "priority", f"{total:,} = " + " + ".join(f"{part.name} {part.own:,}" for part in answer.parts)
    if any(part.first is not None for part in answer.parts):
        first = sum(part.first or 0 for part in answer.parts)
        parts = " + ".join(f"{part.name} {part.first or 0:,}" for part in answer.parts)
        yield "", f"first in the queue: {first:,} = {parts}"


def _trial_rows(answer: Answer, now: float, *, owner_settings: bool) -> Iterator[tuple[str, str]]:
    """The changes that start it sooner, the soonest first."""
    label = "sooner"
    sooner = answer.sooner
    for trial in sooner:
        note = f" ({trial.change.note})" if trial.change.note else ""
        start = time_text(trial.start, now) if trial.start and trial.start - now > SOON else "now"
        words = trial.change.setting if owner_settings else _sbatch_words(trial)
        yield label, f"{start} with {trial.change.what}{note}: {words}"
        label = ""
    if answer.trials and not sooner:
        count = count_text(len(answer.trials), "other request")
        yield label, f"Slurm was asked about {count}, and none starts sooner"


def _sbatch_words(trial: Trial) -> str:
    return " ".join(f"--{name}={value}" for name, value in trial.change.options.items())
