"""Rules of advice on what a run has asked for and how much of it it has used: GPUs, CPUs, memory, time. Pure."""

from __future__ import annotations

import math

from passingloop.figures import brief, percent, span
from passingloop.report.usage.content import Advice
from passingloop.report.usage.run_facts import (
    RunFacts,
    clock_limit,
    gigabytes,
    memory_setting,
    times,
)

BF16_GPUS = ("A10", "A16", "A2", "A30", "A40", "A100", "L4", "L40", "H100", "H200", "H20", "GH200", "B100", "B200",
             "B300", "GB200", "GB300", "A800", "H800", "A6000", "A5000", "A4000")  # fmt: skip
"""NVIDIA's data-centre GPUs with bf16 tensor cores: compute capability 8.0 and above (CUDA programming guide, "Compute
capabilities")."""

MAX_PACK = 8

MIN_SECONDS = 120.0
"""A run shorter than this has nothing to learn from, but that it is short."""


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
