"""Advice on a run from its figures: one sentence each, with the figure and what to do. Pure.

Princeton's jobstats gives advice of this kind. A rule is a function from `RunFacts` to an `Advice`, or to None where it
has nothing to say, as it has where a figure that it needs is not known. The limits of the rules are ours; jobstats
(Princeton Research Computing, github.com/PrincetonUniversity/jobstats) has similar ones, for CPUs, memory, GPU
utilisation and time limits.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from passingloop.figures import brief, percent, span
from passingloop.report.usage.content import Advice
from passingloop.report.usage.run_facts import (
    RunFacts,
    clock_limit,
    gigabytes,
    memory_setting,
    times,
)

Rule = Callable[[RunFacts], Advice | None]

BF16_GPUS = ("A10", "A16", "A2", "A30", "A40", "A100", "L4", "L40", "H100", "H200", "H20", "GH200", "B100", "B200",
             "B300", "GB200", "GB300", "A800", "H800", "A6000", "A5000", "A4000")  # fmt: skip
"""NVIDIA's data-centre GPUs with bf16 tensor cores: compute capability 8.0 and above (CUDA programming guide, "Compute
capabilities")."""

MIN_SECONDS = 120.0
"""A run shorter than this has nothing to learn from, but that it is short."""

MAX_PACK = 8


def advice(facts: RunFacts) -> tuple[Advice, ...]:
    """What the rules say, about the most GPU-hours first."""
    said = [found for rule in RULES if (found := rule(facts))]
    return tuple(sorted(said, key=lambda each: -(each.gpu_hours or 0.0)))


def unused_gpu(facts: RunFacts) -> Advice | None:
    if facts.busy is None or facts.busy >= 0.01 or facts.total < MIN_SECONDS:
        return None
    which = "its GPU was" if facts.gpus == 1 else f"its {facts.gpus or ''} GPUs were".replace("  ", " ")
    sentence = f"{which} never used in {span(facts.total)}: resources.gpus=0 would do, or look for a missing CUDA"
    return Advice(rule="unused_gpu", sentence=sentence, gpu_hours=facts.gpu_hours)


def idle_gpu(facts: RunFacts) -> Advice | None:
    """The GPU idles, and which of the things that are known took the most of that time."""
    if facts.idle is None or facts.idle < 0.25 or facts.total < MIN_SECONDS or unused_gpu(facts):
        return None
    training = facts.share("training", "lost_to_preemption", "lost_to_failure")
    reasons = {
        "data wait": ((facts.data_wait or 0.0) * training, "resources.cpus or shorter texts would feed it"),
        "starting": (facts.share("starting"), "passingloop prepare beforehand, and fewer restarts, would spare that"),
        "saving": (facts.share("saving"), "checkpoint.every=auto saves as often as pays off"),
        "waiting": (facts.share("holding"), "passingloop status says what for"),
        "evaluating": ((facts.evaluating or 0.0) * training, "a larger trainer.eval_every would spare some of that"),
    }
    reason, (share, remedy) = max(reasons.items(), key=lambda item: item[1][0])
    if share < 0.05:
        sentence = f"GPU idle {percent(facts.idle)} of the time: a larger trainer.micro_batch would give it more work"
    else:
        sentence = f"GPU idle {percent(facts.idle)} of the time, {reason} {percent(share)}: {remedy}"
    return Advice(rule="idle_gpu", sentence=sentence, gpu_hours=facts.hours(facts.idle))


def small_kernels(facts: RunFacts) -> Advice | None:
    """Utilisation says that something runs, not how much of the GPU it uses."""
    if facts.busy is None or facts.sm is None or facts.busy < 0.7 or facts.sm > 0.3 or facts.total < MIN_SECONDS:
        return None
    sentence = (
        f"GPU busy {percent(facts.busy)} of the time, but only {percent(facts.sm)} of its multiprocessors work: a "
        "larger trainer.micro_batch, or sweep.pack, would fill it"
    )
    return Advice(rule="small_kernels", sentence=sentence, gpu_hours=facts.hours(facts.busy - facts.sm))


def gpu_memory(facts: RunFacts) -> Advice | None:
    """Runs of a sweep that would fit side by side; a single run that would fit a part of a GPU."""
    used, total = facts.gpu_memory, facts.gpu_memory_total
    if not used or not total or facts.pack != 1 or facts.total < MIN_SECONDS or used > total * 0.3:
        return None
    if facts.busy is not None and facts.busy > 0.7:
        return None
    said = f"GPU memory {gigabytes(used)} of {gigabytes(total)} GB"
    fitting = min(MAX_PACK, math.floor(0.9 * total / used), facts.siblings)
    if facts.siblings > 1 and facts.gpus == 1 and facts.nodes == 1 and fitting > 1:
        remedy = f"sweep.pack={fitting} would fit"
    elif facts.gpus == 1:
        remedy = "a part of a GPU (resources.gpu_type=1g.…, or resources=shard) would do"
    else:
        return None
    return Advice(rule="gpu_memory", sentence=f"{said}: {remedy}", gpu_hours=facts.hours(1 - used / total))


def many_gpus(facts: RunFacts) -> Advice | None:
    if facts.gpus is None or facts.gpus < 2 or facts.busy is None or facts.total < MIN_SECONDS:
        return None
    needed = max(1, math.ceil(facts.gpus * facts.busy * 1.2))
    if facts.busy < 0.01 or facts.busy > 0.5 or needed >= facts.gpus:
        return None
    sentence = f"{facts.gpus} GPUs, busy {percent(facts.busy)} of the time: {needed} would do the same work"
    return Advice(rule="many_gpus", sentence=sentence, gpu_hours=facts.hours(1 - needed / facts.gpus))


def cpus(facts: RunFacts) -> Advice | None:
    asked, used = facts.cpus_asked, facts.cpus
    if asked is None or used is None or asked < 4 or used > asked / 2 or facts.total < MIN_SECONDS:
        return None
    enough = max(1, math.ceil(used * 1.2 / facts.processes))
    if enough * facts.processes > asked * 0.7:
        return None
    sentence = f"asked for {asked:.0f} CPUs, used {brief(used)}: resources.cpus={enough} would do"
    return Advice(rule="cpus", sentence=sentence)


def few_cpus(facts: RunFacts) -> Advice | None:
    asked, used, idle = facts.cpus_asked, facts.cpus, facts.idle
    if asked is None or used is None or idle is None or used < 0.9 * asked or idle < 0.2:
        return None
    wanted = math.ceil(2 * asked / facts.processes)
    sentence = (
        f"used all of its {asked:.0f} CPUs while its GPUs were idle {percent(idle)} of the time: "
        f"resources.cpus={wanted} would feed them"
    )
    return Advice(rule="few_cpus", sentence=sentence, gpu_hours=facts.hours(idle))


def host_memory(facts: RunFacts) -> Advice | None:
    asked, used = facts.memory_asked, facts.memory
    if asked is None or used is None or asked < 16e9 or used > asked / 3 or facts.host_oom:
        return None
    waited = f" and waited {span(facts.wait)}" if facts.wait and facts.wait > 3600 else ""
    sentence = (
        f"asked for {gigabytes(asked)} GB of host memory{waited}, used {gigabytes(used)}: "
        f"resources.mem={memory_setting(used)} would do, and start sooner"
    )
    return Advice(rule="host_memory", sentence=sentence)


def host_out_of_memory(facts: RunFacts) -> Advice | None:
    if not facts.host_oom:
        return None
    had = f" with {gigabytes(facts.memory_asked)} GB" if facts.memory_asked else ""
    remedy = f"resources.mem={memory_setting(2 * facts.memory_asked / 1.25)}" if facts.memory_asked else "resources.mem"
    sentence = f"ran out of host memory {times(facts.host_oom)}{had}: {remedy} from the start would spare the restarts"
    return Advice(rule="host_out_of_memory", sentence=sentence, gpu_hours=facts.hours(facts.share("lost_to_failure")))


def gpu_out_of_memory(facts: RunFacts) -> Advice | None:
    if not facts.gpu_oom:
        return None
    was = "" if facts.micro_batch in (None, "auto") else f" with trainer.micro_batch={facts.micro_batch}"
    remedy = "a smaller one" if was else "trainer.micro_batch set to what worked"
    sentence = f"ran out of GPU memory {times(facts.gpu_oom)}{was}: {remedy} would spare the restarts"
    return Advice(rule="gpu_out_of_memory", sentence=sentence, gpu_hours=facts.hours(facts.share("lost_to_failure")))


def time_limit(facts: RunFacts) -> Advice | None:
    limit, took = facts.time_limit, facts.longest
    if limit is None or not facts.is_complete or facts.ends.get("timeout") or limit < 2 * 3600 or took > limit / 3:
        return None
    sentence = (
        f"time limit {span(limit)}, took {span(took)}: resources.time={clock_limit(took)} would do, and "
        "shorter limits start sooner"
    )
    return Advice(rule="time_limit", sentence=sentence)


def short_limit(facts: RunFacts) -> Advice | None:
    count = facts.ends.get("timeout", 0)
    if count < 2 or facts.time_limit is None:
        return None
    sentence = (
        f"reached its time limit of {span(facts.time_limit)} {times(count)}, and each restart took "
        f"{span(facts.seconds.get('starting', 0.0) / facts.attempts)}: a longer resources.time needs fewer of them"
    )
    return Advice(rule="short_limit", sentence=sentence, gpu_hours=facts.hours(facts.share("starting")))


def full_precision(facts: RunFacts) -> Advice | None:
    words = facts.gpu_name.replace("-", " ").replace("_", " ").split()
    if facts.precision != "fp32" or not set(words) & set(BF16_GPUS) or facts.total < MIN_SECONDS:
        return None
    name = next(word for word in words if word in BF16_GPUS)
    article = "an" if name[0] in "AHL" else "a"
    sentence = f"ran fp32 on {article} {name}, which has bf16: trainer.precision=bf16 is about twice as fast or more"
    return Advice(rule="full_precision", sentence=sentence, gpu_hours=facts.hours(facts.share("training")) / 2)


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
