"""How exact a replay of `slurm-policy simulate` is: `python bench/simulation.py [--save] [--hours H] [--minutes M]`.

As root. A part of a trace is replayed with the recommended policy twice at the usual factor, at a third and a ninth of
it, and its first minutes also in real time. Of each job the wait and the time for which it held its GPUs are compared
with those of the first replay: deviations are in seconds of the trace. Two real clusters would deviate as well: which
of two jobs that come at once is first is chance, and one that starts earlier may change what all later ones find.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from record import ROOT, record

sys.path.insert(0, str(ROOT / "scripts" / "lib"))

from dev_slurm.replay_cluster import replay_cluster

from passingloop.figures import percentile
from passingloop.policy.policy_file import read_policy_file
from passingloop.simulation.policy_trial import trial
from passingloop.simulation.replay.policy_replay import Setting, fitting, replayed
from passingloop.simulation.replay.private_cluster import Node
from passingloop.simulation.replay.saving import Saving
from passingloop.simulation.simulate import FACTOR
from passingloop.simulation.trace_jobs import Outcome, Replay
from passingloop.simulation.traces.trace import Trace, window
from passingloop.simulation.traces.trace_choice import read_trace
from passingloop.text import say

NODES, GPUS = 4, 8
TRACE = "synthetic:philly,load=0.9,days=1,users=20,groups=4,interactive=0.1,scavenger=0.4,limits=1-0,longest=12:00:00"
BEGIN_HOUR = 15.0
"""Of the trace, before its busiest hours."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--save", action="store_true", help="write docs/results/<date>-simulation.json")
    parser.add_argument("--hours", type=float, default=6.0, help="of the trace; 6 unless given")
    parser.add_argument("--minutes", type=float, default=30.0, help="of them in real time; 30 unless given")
    options = parser.parse_args()
    whole = window(read_trace(TRACE, NODES * GPUS), BEGIN_HOUR * 3600, options.hours * 3600)
    part = window(whole, 0.0, options.minutes * 60)
    first, seconds = replay(whole, FACTOR)
    runs: dict[str, Any] = {"usual factor": summary(first, seconds)}
    for name, factor in (("again", FACTOR), ("a third", FACTOR / 3), ("a ninth", FACTOR / 9)):
        found, seconds = replay(whole, factor)
        runs[name] = summary(found, seconds) | deviations(first.outcomes, found.outcomes)
    quick, seconds = replay(part, FACTOR)
    slow, real_seconds = replay(part, 1.0)
    runs["a part"] = summary(quick, seconds)
    runs["a part, in real time"] = summary(slow, real_seconds) | deviations(quick.outcomes, slow.outcomes)
    record(
        "simulation",
        {
            "trace": TRACE,
            "hours": options.hours,
            "minutes in real time": options.minutes,
            "jobs": len(whole.jobs),
            "runs": runs,
        },
    )


def replay(trace: Trace, factor: float) -> tuple[Replay, float]:
    """The replay, and the seconds that it took without the start of the cluster."""
    setting = Setting(nodes=[Node(gpus=GPUS, cpus=64)] * NODES, factor=factor, saving=Saving(), tail_s=0.0)
    began = time.monotonic()
    found = replayed(read_policy_file(ROOT / "slurm/policy.yaml"), fitting(trace), setting, replay_cluster, say)
    return found, time.monotonic() - began


def summary(found: Replay, seconds: float) -> dict[str, Any]:
    policy = read_policy_file(ROOT / "slurm/policy.yaml")
    figures = trial(replace(policy, objectives=()), found).figures
    return {
        "seconds": round(seconds, 1),
        "factor": round(found.factor, 1),
        "launch, share of the median job": round(found.overhead, 4),
        "utilisation": round(figures.utilisation, 4),
        "lost": round(figures.totals.lost_gpu_hours / max(figures.totals.gpu_hours, 1e-9), 5),
        "waits": waits(found.outcomes),
        "waits of interactive jobs": waits([one for one in found.outcomes if one.job.qos == "interactive"]),
    }


def waits(outcomes: Sequence[Outcome]) -> dict[str, float]:
    found = sorted(one.segments[0].start_s - one.eligible_s for one in outcomes if one.segments)
    return {f"{share:.0%}": round(percentile(found, share), 1) for share in (0.5, 0.95, 0.99)} if found else {}


def deviations(first: Sequence[Outcome], other: Sequence[Outcome]) -> dict[str, Any]:
    """Of the jobs that started in both replays, one by one."""
    pairs = [(a, b) for a, b in zip(first, other, strict=True) if a.segments and b.segments]
    starts = [abs(a.segments[0].start_s - b.segments[0].start_s) for a, b in pairs]
    helds = [abs(held(a) - held(b)) for a, b in pairs if len(a.segments) == len(b.segments)]
    return {
        "jobs that started in one only": sum(
            bool(a.segments) != bool(b.segments) for a, b in zip(first, other, strict=True)
        ),
        "jobs with another number of pieces": len(pairs) - len(helds),
        "deviation of the start": spread(starts),
        "deviation of the time held": spread(helds),
    }


def held(outcome: Outcome) -> float:
    return sum(segment.end_s - segment.start_s for segment in outcome.segments)


def spread(values: Sequence[float]) -> dict[str, float]:
    if not values:
        return {}
    shares = {f"{share:.0%}": round(percentile(sorted(values), share), 1) for share in (0.5, 0.9, 0.99)}
    return {"mean": round(statistics.fmean(values), 1), **shares, "largest": round(max(values), 1)}


if __name__ == "__main__":
    main()
