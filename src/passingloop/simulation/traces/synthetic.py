"""Traces generated from published figures: ``synthetic:philly`` and its like. The same seed gives the same jobs.

Jobs come in bursts: a user submits some jobs of one size together. Bursts follow the hours of the day and the days of
the week, from a Monday on. Durations, sizes and ends of jobs have the published shares, and those of one size, or with
one end, the published share of GPU time. A failed job may be submitted again some minutes after its failure.
"""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from passingloop.errors import ConfigError
from passingloop.simulation.trace_jobs import State, TraceJob
from passingloop.simulation.traces.joint_shares import joint_shares
from passingloop.simulation.traces.offered_load import EXACTNESS, gpu_seconds_inside
from passingloop.simulation.traces.population import account_names, proportional
from passingloop.simulation.traces.published_figures import CLUSTERS, Figures
from passingloop.simulation.traces.trace import DAY, HOUR, Trace, seeded

MOST_REFUSED = 2000
"""Jobs in sequence that are too large for what is left of the load, before there is no more hope."""

NOTICED_S = (60.0, 1800.0)
"""A user notices a failure, and submits again, after so many seconds: the least and the most."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Wish:
    """What is to be generated."""

    cluster: str
    """A name in `CLUSTERS`."""
    gpus: int
    """Of the cluster that is replayed on."""
    load: float
    """Offered to it, as `passingloop.simulation.traces.offered_load` counts it."""
    days: float
    users: int
    accounts: int
    seed: int


@dataclass(frozen=True, slots=True)
class _Mix:
    """Sizes of jobs, and for each size the shares of durations, for each duration those of states."""

    sizes: Sequence[int]
    size_shares: Sequence[float]
    durations: Sequence[Sequence[float]]
    states: Sequence[State]
    state_shares: Sequence[Sequence[float]]


def synthetic_trace(wish: Wish) -> Trace:
    """A trace after the published figures of a cluster.

    Raises:
        ConfigError: there cannot be such a trace.
    """
    if wish.users < wish.accounts:
        raise ConfigError(f"users={wish.users}: there are {wish.accounts} accounts, and each needs one at least.")
    figures = CLUSTERS[wish.cluster]
    largest = max(1, wish.gpus // 2)
    length = wish.days * DAY
    target = wish.load * wish.gpus * length
    jobs: list[TraceJob] = []
    total, refused = 0.0, 0
    for job in _stream(wish, figures, _mix(figures, largest), length):
        weight = gpu_seconds_inside(job, length)
        if total + weight <= target * (1 + EXACTNESS):
            jobs.append(job)
            total, refused = total + weight, 0
        else:
            refused += 1
        if total >= target * (1 - EXACTNESS) or refused > MOST_REFUSED:
            break
    if abs(total - target) > 0.02 * target:
        raise ConfigError(
            f"load={wish.load:g}: {wish.gpus} GPUs over {wish.days:g} days are too few for jobs as in "
            f"{figures.source}. Ask for more days."
        )
    name = f"synthetic:{wish.cluster}"
    notes = [
        f"{len(jobs)} jobs of {len({job.user for job in jobs})} users in {len({job.account for job in jobs})} accounts "
        f"are generated after {figures.source}, seed {wish.seed}; they offer {total / (wish.gpus * length):.1%} of "
        f"{wish.gpus} GPUs over {wish.days:g} days."
    ]
    jobs_over, time_over = (sum(pair[of] for size, pair in figures.sizes.items() if size > largest) for of in (0, 1))
    if jobs_over:
        notes.append(
            f"Jobs over {largest} GPUs, half of the cluster, are not generated: there they are {jobs_over:.2g} % of "
            f"the jobs and {time_over:.2g} % of the GPU time."
        )
    return Trace(name=name, length_s=length, jobs=(), notes=tuple(notes)).with_jobs(jobs)


def _stream(wish: Wish, figures: Figures, mix: _Mix, length_s: float) -> Iterator[TraceJob]:
    """Jobs without end, in no order."""
    rng = seeded(wish.seed, wish.cluster)
    people, weights = _people(wish)
    hours = [figures.hours[hour % 24] * (figures.weekend if hour // 24 % 7 >= 5 else 1) for hour in
             range(math.ceil(length_s / HOUR))]  # fmt: skip
    summed_hours, summed_people = (list(itertools.accumulate(amounts)) for amounts in (hours, weights))
    while True:
        account, user = rng.choices(people, cum_weights=summed_people)[0]
        begin = HOUR * (rng.choices(range(len(hours)), cum_weights=summed_hours)[0] + rng.random())
        at = rng.choices(range(len(mix.sizes)), mix.size_shares)[0]
        for number in range(_burst(figures.burst, rng)):
            submit = float(round(begin + 5 * number))
            job = TraceJob(
                number=0, submit_s=submit, duration_s=0, gpus=mix.sizes[at], cpus=mix.sizes[at], user=user,
                account=account,
            )  # fmt: skip
            yield from _tries(job, figures, mix, at, length_s, rng)


def _tries(
    job: TraceJob, figures: Figures, mix: _Mix, at: int, length_s: float, rng: random.Random
) -> Iterator[TraceJob]:
    """A job, and its repetitions after failures."""
    while job.submit_s < length_s:
        span = rng.choices(range(len(mix.durations[at])), mix.durations[at])[0]
        state = rng.choices(mix.states, mix.state_shares[span])[0]
        duration = max(1.0, float(round(2 ** (span - rng.random()))))
        yield replace(job, duration_s=duration, state=state)
        if state != "failed" or rng.random() >= figures.retry:
            return
        job = replace(job, submit_s=float(round(job.submit_s + duration + rng.uniform(*NOTICED_S))))


def _burst(mean: float, rng: random.Random) -> int:
    """How many jobs are submitted together: geometrically distributed, 1 at least."""
    return 1 + int(math.log(1 - rng.random()) / math.log(1 - 1 / mean))


def _people(wish: Wish) -> tuple[list[tuple[str, str]], list[float]]:
    """Accounts with their users, and how much they submit: in both by Zipf's law, the k-th 1/k of the first."""
    accounts = account_names(wish.accounts)
    activity = {name: 10_000 * wish.users // rank for rank, name in enumerate(accounts, start=1)}
    counts = proportional(activity, wish.users)
    people = [(name, f"{name}-u{number:02}") for name in accounts for number in range(1, counts[name] + 1)]
    harmonic = {name: sum(1 / number for number in range(1, counts[name] + 1)) for name in accounts}
    weights = [activity[name] / harmonic[name] / number for name in accounts for number in range(1, counts[name] + 1)]
    return people, weights


def _mix(figures: Figures, largest: int) -> _Mix:
    """What the published shares say about size, duration and end of a job together.

    A duration between two of the published ones is as likely as any other on a scale of logarithms.
    """
    columns = _shares([after - before for before, after in itertools.pairwise((0.0, *figures.durations))])
    values = [2.0 ** (span - 1) / math.log(2) for span in range(len(columns))]
    mean = math.fsum(map(math.prod, zip(columns, values, strict=True)))
    rows = _shares([jobs for jobs, _ in figures.sizes.values()])
    times = _shares([time for _, time in figures.sizes.values()])
    means = [time / row / size for time, row, size in zip(times, rows, figures.sizes, strict=True)]
    scale = mean / math.fsum(map(math.prod, zip(rows, means, strict=True)))
    by_size = joint_shares(rows, columns, values, [scale * one for one in means])
    ends = _shares([jobs for jobs, _ in figures.states.values()])
    end_times = _shares([time for _, time in figures.states.values()])
    by_end = joint_shares(ends, columns, values, [mean * time / end for time, end in zip(end_times, ends, strict=True)])
    fitting = [at for at, size in enumerate(figures.sizes) if size <= largest]
    return _Mix(
        sizes=[list(figures.sizes)[at] for at in fitting],
        size_shares=[rows[at] for at in fitting],
        durations=[by_size[at] for at in fitting],
        states=list(figures.states),
        state_shares=[list(column) for column in zip(*by_end, strict=True)],
    )


def _shares(amounts: Sequence[float]) -> list[float]:
    total = math.fsum(amounts)
    return [amount / total for amount in amounts]
