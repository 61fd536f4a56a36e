"""Two days of a team on 32 GPUs, under first come first served and under priorities with preemption: what a scheduler
of a page makes of them, so that results can be looked at that resemble those of a cluster. The same at every call."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from pathlib import Path
from random import Random

from passingloop.policy.policy_file import read_policy_file
from passingloop.report.simulation.policy_figures import Simulation
from passingloop.report.usage.content import PriceNote
from passingloop.report.usage.prices import Prices
from passingloop.simulation.policy_trial import trial
from passingloop.simulation.trace_jobs import Outcome, Replay, Segment, TraceJob

GPUS, LENGTH = 32, 2 * 86400.0
SAVED_EVERY, RESTART = 600.0, 30.0
ORDER = {"interactive": 0, "production": 1, "scavenger": 2}

POLICY = """\
qos:
  interactive: {priority: 100, preempts: [scavenger]}
  production: {priority: 50, preempts: [scavenger]}
  scavenger: {}
accounts:
  vision: {shares: 2}
  language: {}
  robots: {}
objectives:
  interactive.wait_p95: 60s
  utilisation: against - 5%
  jain: 0.9
  accounts.robots.share: 60%
  lost_share: 0.01%
  scavenger.never_started: 0
"""

PRICES = Prices(
    note=PriceNote(currency="EUR", date="2026-11-29", source="made", here="on_premises"),
    gpu="h200",
    per_gpu_hour={"h200": {"on_premises": 1.91, "on_demand": 7.91}},
)


def made_jobs(count: int = 700) -> list[TraceJob]:
    random = Random(7)
    jobs = []
    for number in range(count):
        account = random.choices(("vision", "language", "robots"), (5, 3, 2))[0]
        gpus = random.choices((1, 2, 4, 8, 16), (50, 20, 15, 10, 2))[0]
        qos = "production" if random.random() < 0.6 else "scavenger"
        duration = min(random.lognormvariate(7.0, 1.5), 43200.0)
        if gpus == 1 and random.random() < 0.3:
            qos, duration = "interactive", random.uniform(60, 1800)
        jobs.append(
            TraceJob(
                number=number,
                submit_s=random.uniform(0, 0.85 * LENGTH),
                duration_s=duration,
                gpus=gpus,
                cpus=4 * gpus,
                user=f"{account}-{random.randrange(6)}",
                account=account,
                qos=qos,
                patience_s=900.0 if random.random() < 0.03 else None,
            )
        )
    return [*jobs, TraceJob(count, 3600.0, 7200.0, 64, 64, "robots-0", "robots", "scavenger")]


def replayed(policy: str, rank: Callable[[TraceJob], float], *, preempts: bool) -> Replay:
    """Start whatever fits in the order of `rank`; the first that does not fit lets nobody smaller wait."""
    jobs = {job.number: job for job in made_jobs()}
    left = {job.number: job.duration_s for job in jobs.values()}
    segments: dict[int, list[Segment]] = {number: [] for number in jobs}
    events = [(job.submit_s, 1, job.number, 0) for job in jobs.values()]
    heapq.heapify(events)
    waiting: list[int] = []
    running: dict[int, float] = {}

    def free() -> int:
        return GPUS - sum(jobs[number].gpus for number in running)

    def stop(number: int, now: float) -> None:
        ran = now - running.pop(number)
        lost = min(ran, ran % SAVED_EVERY + RESTART)
        left[number] -= ran - lost
        segments[number].append(Segment(now - ran, now, lost, "preempted"))
        waiting.append(number)

    while events:
        now, kind, number, begun = heapq.heappop(events)
        if kind == 1:
            waiting.append(number)
        elif number in running and len(segments[number]) == begun:
            start = running.pop(number)
            segments[number].append(Segment(start, now, RESTART if begun else 0.0, "completed"))
        for one in sorted(waiting, key=lambda number: (rank(jobs[number]), jobs[number].submit_s)):
            job = jobs[one]
            if job.patience_s is not None and not segments[one] and now > job.submit_s + job.patience_s:
                waiting.remove(one)
                continue
            victims = [other for other in running if jobs[other].qos == "scavenger"] if preempts else []
            if preempts and job.qos != "scavenger":
                while free() < job.gpus <= free() + sum(jobs[other].gpus for other in victims):
                    stop(victims.pop(), now)
            if job.gpus <= free():
                waiting.remove(one)
                running[one] = now
                end = now + left[one] + (RESTART if segments[one] else 0.0)
                heapq.heappush(events, (end, 0, one, len(segments[one])))
    outcomes = tuple(
        Outcome(job, job.submit_s, tuple(segments[job.number]), "" if segments[job.number] else "Resources")
        for job in jobs.values()
    )
    return Replay(
        policy, "made, 2 days", GPUS, LENGTH, 120.0, 0.013, ("3 jobs of less than 10 s were dropped.",), outcomes
    )


def made_simulation(folder: Path, *, against: bool = True) -> Simulation:
    """A recommended policy, beside first come first served."""
    file = folder / "policy.yaml"
    file.write_text(POLICY, encoding="utf-8")
    own = replayed("policy.yaml", lambda job: ORDER[job.qos], preempts=True)
    other = replayed("fifo.yaml", lambda job: 0, preempts=False) if against else None
    return trial(read_policy_file(file), own, other, PRICES)
