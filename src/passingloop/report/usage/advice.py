"""Advice on a run from its figures: one sentence each, with the figure and what to do. Pure.

Here are the rules on what became of its time; those on its resources are in `resource_advice`.

Princeton's jobstats gives advice of this kind. A rule is a function from `RunFacts` to an `Advice`, or to None where it
has nothing to say, as it has where a figure that it needs is not known. The limits of the rules are ours; jobstats
(Princeton Research Computing, github.com/PrincetonUniversity/jobstats) has similar ones, for CPUs, memory, GPU
utilisation and time limits.
"""

from __future__ import annotations

from collections.abc import Callable

from passingloop.figures import percent, span
from passingloop.report.usage.content import Advice
from passingloop.report.usage.resource_advice import (
    MIN_SECONDS,
    cpus,
    few_cpus,
    full_precision,
    gpu_memory,
    gpu_out_of_memory,
    host_memory,
    host_out_of_memory,
    idle_gpu,
    many_gpus,
    short_limit,
    small_kernels,
    time_limit,
    unused_gpu,
)
from passingloop.report.usage.run_facts import (
    RunFacts,
    times,
)

Rule = Callable[[RunFacts], Advice | None]


def advice(facts: RunFacts) -> tuple[Advice, ...]:
    """What the rules say, about the most GPU-hours first."""
    said = [found for rule in RULES if (found := rule(facts))]
    return tuple(sorted(said, key=lambda each: -(each.gpu_hours or 0.0)))


def many_preemptions(facts: RunFacts) -> Advice | None:
    count, cost = facts.ends.get("preempted", 0), facts.share("starting", "lost_to_preemption")
    if count < 5 or cost < 0.1:
        return None
    sentence = (
        f"was preempted {times(count)}, which cost {percent(cost)} of its time: cluster.qos of a higher priority, or "
        "fewer GPUs (resources.gpus=1-4), would be cut off less often"
    )
    return Advice(rule="many_preemptions", sentence=sentence, gpu_hours=facts.hours(cost))


def restarts(facts: RunFacts) -> Advice | None:
    """Restarts that cost more than saves: the interval between saves is not what to change."""
    starting, saving = facts.share("starting"), facts.share("saving", "lost_to_preemption")
    if facts.attempts < 3 or starting < 0.15 or starting < 2 * saving:
        return None
    if many_preemptions(facts) or crashes(facts) or hangs(facts):  # they name the cause
        return None
    rarer = ", a longer resources.time rarer" if facts.ends.get("timeout") else ""
    sentence = (
        f"its {facts.attempts} starts took {percent(starting)} of its time, its saves and what they did not cover "
        f"{percent(saving)}: passingloop prepare beforehand makes starts shorter{rarer}"
    )
    return Advice(rule="restarts", sentence=sentence, gpu_hours=facts.hours(starting))


def lost_training(facts: RunFacts) -> Advice | None:
    lost, saving = facts.lost_share, facts.share("saving")
    if lost < 0.1 or lost < 2 * saving:
        return None
    sentence = (
        f"lost {percent(lost)} of its time as training that no checkpoint had, and saves took {percent(saving)}: "
        "checkpoint.every=auto, or a smaller checkpoint.every_minutes, loses less"
    )
    return Advice(rule="lost_training", sentence=sentence, gpu_hours=facts.hours(lost))


def costly_saves(facts: RunFacts) -> Advice | None:
    saving, lost = facts.share("saving"), facts.lost_share
    if saving < 0.1 or saving < 2 * lost or facts.total < MIN_SECONDS:
        return None
    sentence = (
        f"saves held it up for {percent(saving)} of its time: checkpoint.every=auto saves as often as pays off, and "
        "checkpoint.every_steps more often"
    )
    return Advice(rule="costly_saves", sentence=sentence, gpu_hours=facts.hours(saving))


def evaluations(facts: RunFacts) -> Advice | None:
    share = facts.evaluating
    if share is None or share < 0.25 or facts.total < MIN_SECONDS:
        return None
    remedy = "less validation data"
    if isinstance(facts.eval_every, int):
        remedy = f"trainer.eval_every={facts.eval_every * 3}"
    elif isinstance(facts.epochs, int | float) and facts.epochs >= 2:
        remedy = "trainer.eval_every set to the steps of several epochs, or less validation data,"
    sentence = f"evaluations took {percent(share)} of its training: {remedy} would leave more for steps"
    return Advice(rule="evaluations", sentence=sentence, gpu_hours=facts.hours(share * facts.share("training")))


def waited_with_gpus(facts: RunFacts) -> Advice | None:
    share = facts.share("holding")
    if share < 0.1 or facts.seconds.get("holding", 0.0) < MIN_SECONDS:
        return None
    sentence = (
        f"held its GPUs for {span(facts.seconds['holding'])} while it waited for a step, a lock or its end: "
        "passingloop logs says for which, and one command per run at a time avoids locks"
    )
    return Advice(rule="waited_with_gpus", sentence=sentence, gpu_hours=facts.hours(share))


def long_wait(facts: RunFacts) -> Advice | None:
    if facts.wait is None or facts.wait < 3600 or facts.wait < 3 * facts.total:
        return None
    sentence = (
        f"waited {span(facts.wait)} in the queue for {span(facts.total)} of work: estimate=true shows which "
        "size, QOS or time limit starts sooner"
    )
    return Advice(rule="long_wait", sentence=sentence)


def slow_start(facts: RunFacts) -> Advice | None:
    first = facts.first_start
    if first is None or first < 600 or facts.share("starting") < 0.1:
        return None
    sentence = (
        f"took {span(first)} to its first step: cluster.prepare_ahead=always, or passingloop prepare, prepares the "
        "data without a GPU"
    )
    return Advice(rule="slow_start", sentence=sentence, gpu_hours=facts.hours(facts.share("starting")))


def short_runs(facts: RunFacts) -> Advice | None:
    starting, training = facts.seconds.get("starting", 0.0), facts.seconds.get("training", 0.0)
    if facts.siblings < 4 or facts.pack != 1 or facts.attempts > 1 or training > 300 or starting < training:
        return None
    if starting + training < 20 or facts.gpus != 1:
        return None
    sentence = (
        f"trained for {span(training)} after {span(starting)} of starting: sweep.pack=4 starts runs side by "
        "side in one job"
    )
    return Advice(rule="short_runs", sentence=sentence, gpu_hours=facts.hours(facts.share("starting")))


def crashes(facts: RunFacts) -> Advice | None:
    count = facts.ends.get("crash", 0)
    if count < 2:
        return None
    share = facts.share("lost_to_failure", "starting") - facts.still_share
    sentence = (
        f"failed {times(count)}, which cost {percent(share)} of its time: passingloop logs shows why, and "
        "retry.crash=0 keeps it from being tried again"
    )
    return Advice(rule="crashes", sentence=sentence, gpu_hours=facts.hours(share))


def hangs(facts: RunFacts) -> Advice | None:
    count, share = facts.ends.get("hung", 0), facts.still_share
    if not count or share < 0.05 or facts.stood_still < MIN_SECONDS:
        return None
    sentence = (
        f"hung {times(count)} and stood still for {span(facts.stood_still)} until it was ended: passingloop logs "
        "shows where its processes stood, and a smaller watch.stuck_minutes ends it sooner"
    )
    return Advice(rule="hangs", sentence=sentence, gpu_hours=facts.hours(share))


def failed_nodes(facts: RunFacts) -> Advice | None:
    count = facts.ends.get("node_fail", 0)
    if not count:
        return None
    named = f" ({', '.join(facts.failed_nodes)})" if facts.failed_nodes else ""
    sentence = f"lost its node {times(count)}{named}: tell the administrators; the run avoids it by itself"
    return Advice(rule="failed_nodes", sentence=sentence, gpu_hours=facts.hours(facts.share("lost_to_failure")))


def throttling(facts: RunFacts) -> Advice | None:
    slowed = {reason: share for reason, share in facts.throttled.items() if reason != "power" and share >= 0.1}
    if not slowed:
        return None
    reason, share = max(slowed.items(), key=lambda item: item[1])
    words = {"heat": "heat", "brake": "the brake of its power supply"}.get(reason, "a fault of the hardware")
    sentence = f"GPUs were slowed down by {words} for {percent(share)} of the time: tell the administrators the node"
    return Advice(rule="throttling", sentence=sentence, gpu_hours=facts.hours(share))


RULES: tuple[Rule, ...] = (
    unused_gpu,
    idle_gpu,
    small_kernels,
    gpu_memory,
    many_gpus,
    cpus,
    few_cpus,
    host_memory,
    host_out_of_memory,
    gpu_out_of_memory,
    time_limit,
    short_limit,
    full_precision,
    many_preemptions,
    restarts,
    lost_training,
    costly_saves,
    evaluations,
    waited_with_gpus,
    long_wait,
    slow_start,
    short_runs,
    crashes,
    hangs,
    failed_nodes,
    throttling,
)
