"""Each rule of advice: what it says, and that it keeps silent next to its limits."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from passingloop.report.usage.advice import RULES, advice
from passingloop.report.usage.run_facts import RunFacts, clock_limit

HOUR = 3600.0

GOOD = RunFacts(
    gpu_hours=10.0,
    seconds={"training": 9.5 * HOUR, "starting": 0.3 * HOUR, "saving": 0.2 * HOUR},
    is_complete=True,
    gpus=1,
    gpu="NVIDIA H200",
    busy=0.92,
    sm=0.7,
    idle=0.05,
    gpu_memory=90_000_000_000,
    gpu_memory_total=141_000_000_000,
    cpus=6.0,
    cpus_asked=8.0,
    memory=40_000_000_000,
    memory_asked=64_000_000_000,
    data_wait=0.01,
    evaluating=0.05,
    precision="bf16",
    micro_batch="auto",
    eval_every=100,
    time_limit=24 * HOUR,
    longest=10 * HOUR,
    wait=600.0,
    ends={"completed": 1},
    first_start=90.0,
)
"""An hour of it costs what it should: nothing is said."""


def spent(**hours: float) -> dict[str, float]:
    return {use: hour * HOUR for use, hour in hours.items()}


SAID: list[tuple[str, dict[str, Any], str]] = [
    ("cpus", {"cpus": 1.1}, "asked for 8 CPUs, used 1.1: resources.cpus=2 would do"),
    ("cpus", {"cpus": 9.0, "cpus_asked": 64.0, "processes": 8}, "asked for 64 CPUs, used 9: resources.cpus=2 would do"),
    ("few_cpus", {"cpus": 1.95, "cpus_asked": 2.0, "idle": 0.4, "data_wait": 0.38},
     "used all of its 2 CPUs while its GPUs were idle 40 % of the time: resources.cpus=4 would feed them"),
    ("idle_gpu", {"idle": 0.4, "data_wait": 0.4},
     "GPU idle 40 % of the time, data wait 38 %: resources.cpus or shorter texts would feed it"),
    ("idle_gpu", {"idle": 0.3, "seconds": spent(training=6.0, starting=3.0, saving=1.0)},
     "GPU idle 30 % of the time, starting 30 %: passingloop prepare beforehand, and fewer restarts, would spare that"),
    ("idle_gpu", {"idle": 0.5, "evaluating": 0.2},
     "GPU idle 50 % of the time, evaluating 19 %: a larger trainer.eval_every would spare some of that"),
    ("idle_gpu", {"idle": 0.35, "data_wait": None, "evaluating": None},
     "GPU idle 35 % of the time: a larger trainer.micro_batch would give it more work"),
    ("unused_gpu", {"busy": 0.002, "idle": 1.0},
     "its GPU was never used in 10 h: resources.gpus=0 would do, or look for a missing CUDA"),
    ("unused_gpu", {"busy": 0.0, "idle": 1.0, "gpus": 4},
     "its 4 GPUs were never used in 10 h: resources.gpus=0 would do, or look for a missing CUDA"),
    ("small_kernels", {"busy": 0.98, "sm": 0.12},
     "GPU busy 98 % of the time, but only 12 % of its multiprocessors work: a larger trainer.micro_batch, or "
     "sweep.pack, would fill it"),
    ("gpu_memory", {"gpu_memory": 9_000_000_000, "busy": 0.5, "siblings": 4},
     "GPU memory 9 of 141 GB: sweep.pack=4 would fit"),
    ("gpu_memory", {"gpu_memory": 40_000_000_000, "busy": 0.5, "siblings": 20},
     "GPU memory 40 of 141 GB: sweep.pack=3 would fit"),
    ("gpu_memory", {"gpu_memory": 9_000_000_000, "busy": 0.5, "siblings": 100},
     "GPU memory 9 of 141 GB: sweep.pack=8 would fit"),
    ("gpu_memory", {"gpu_memory": 9_500_000_000, "busy": None},
     "GPU memory 9.5 of 141 GB: a part of a GPU (resources.gpu_type=1g.…, or resources=shard) would do"),
    ("many_gpus", {"gpus": 8, "busy": 0.2, "idle": 0.2}, "8 GPUs, busy 20 % of the time: 2 would do the same work"),
    ("host_memory", {"memory": 7_000_000_000},
     "asked for 64 GB of host memory, used 7: resources.mem=9G would do, and start sooner"),
    ("host_memory", {"memory": 7_000_000_000, "wait": 5 * HOUR},
     "asked for 64 GB of host memory and waited 5 h, used 7: resources.mem=9G would do, and start sooner"),
    ("host_out_of_memory", {"host_oom": 2, "memory_asked": 8 * 2**30},
     "ran out of host memory twice with 8.6 GB: resources.mem=16G from the start would spare the restarts"),
    ("gpu_out_of_memory", {"gpu_oom": 1, "micro_batch": 64},
     "ran out of GPU memory once with trainer.micro_batch=64: a smaller one would spare the restarts"),
    ("gpu_out_of_memory", {"gpu_oom": 3},
     "ran out of GPU memory 3 times: trainer.micro_batch set to what worked would spare the restarts"),
    ("time_limit", {"longest": 1.5 * HOUR},
     "time limit 24 h, took 90 min: resources.time=2:30:00 would do, and shorter limits start sooner"),
    ("time_limit", {"longest": 2.2 * HOUR},
     "time limit 24 h, took 2.2 h: resources.time=3:30:00 would do, and shorter limits start sooner"),
    ("short_limit", {"ends": {"timeout": 3, "completed": 1}, "time_limit": HOUR},
     "reached its time limit of 60 min 3 times, and each restart took 4 min: a longer resources.time needs fewer of "
     "them"),
    ("full_precision", {"precision": "fp32"},
     "ran fp32 on an H200, which has bf16: trainer.precision=bf16 is about twice as fast or more"),
    ("full_precision", {"precision": "fp32", "gpu": "nvidia_a100_1g.5gb"},
     "ran fp32 on an A100, which has bf16: trainer.precision=bf16 is about twice as fast or more"),
    ("full_precision", {"precision": "fp32", "gpu": "NVIDIA B200"},
     "ran fp32 on a B200, which has bf16: trainer.precision=bf16 is about twice as fast or more"),
    ("many_preemptions",
     {"ends": {"preempted": 12, "completed": 1}, "seconds": spent(training=8.0, starting=1.5, lost_to_preemption=0.5)},
     "was preempted 12 times, which cost 20 % of its time: cluster.qos of a higher priority, or fewer GPUs "
     "(resources.gpus=1-4), would be cut off less often"),
    ("restarts", {"ends": {"timeout": 1, "preempted": 2, "completed": 1},
                  "seconds": spent(training=7.8, starting=2.0, saving=0.2)},
     "its 4 starts took 20 % of its time, its saves and what they did not cover 2 %: passingloop prepare beforehand "
     "makes starts shorter, a longer resources.time rarer"),
    ("restarts", {"ends": {"preempted": 3, "completed": 1}, "seconds": spent(training=7.8, starting=2.0, saving=0.2)},
     "its 4 starts took 20 % of its time, its saves and what they did not cover 2 %: passingloop prepare beforehand "
     "makes starts shorter"),
    ("lost_training", {"seconds": spent(training=8.7, lost_to_failure=1.2, saving=0.1)},
     "lost 12 % of its time as training that no checkpoint had, and saves took 1 %: checkpoint.every=auto, or a "
     "smaller checkpoint.every_minutes, loses less"),
    ("costly_saves", {"seconds": spent(training=8.2, saving=1.8)},
     "saves held it up for 18 % of its time: checkpoint.every=auto saves as often as pays off, and "
     "checkpoint.every_steps more often"),
    ("evaluations", {"evaluating": 0.31, "eval_every": 50},
     "evaluations took 31 % of its training: trainer.eval_every=150 would leave more for steps"),
    ("evaluations", {"evaluating": 0.31, "eval_every": "epoch", "epochs": 5.0},
     "evaluations took 31 % of its training: trainer.eval_every set to the steps of several epochs, or less validation "
     "data, would leave more for steps"),
    ("evaluations", {"evaluating": 0.31, "eval_every": "epoch", "epochs": 1.0},
     "evaluations took 31 % of its training: less validation data would leave more for steps"),
    ("waited_with_gpus", {"seconds": spent(training=7.9, holding=2.1)},
     "held its GPUs for 2.1 h while it waited for a step, a lock or its end: passingloop logs says for which, and one "
     "command per run at a time avoids locks"),
    ("long_wait", {"wait": 90 * HOUR},
     "waited 3.8 days in the queue for 10 h of work: estimate=true shows which size, QOS or time limit starts sooner"),
    ("slow_start", {"first_start": 1500.0, "seconds": spent(training=2.5, starting=0.5)},
     "took 25 min to its first step: cluster.prepare_ahead=always, or passingloop prepare, prepares the data without a "
     "GPU"),
    ("short_runs", {"siblings": 40, "seconds": {"training": 40.0, "starting": 60.0}, "longest": 100.0},
     "trained for 40 s after 60 s of starting: sweep.pack=4 starts runs side by side in one job"),
    ("crashes", {"ends": {"crash": 3, "hung": 1}, "stood_still": 0.5 * HOUR,
                 "seconds": spent(training=7.0, lost_to_failure=2.0, saving=1.0)},
     "failed 3 times, which cost 15 % of its time: passingloop logs shows why, and retry.crash=0 keeps it from being "
     "tried again"),
    ("hangs", {"ends": {"hung": 2}, "uncovered": 0.1, "stood_still": 1.8 * HOUR,
               "seconds": spent(training=7.0, lost_to_failure=2.0, saving=1.0)},
     "hung twice and stood still for 1.8 h until it was ended: passingloop logs shows where its processes stood, and a "
     "smaller watch.stuck_minutes ends it sooner"),
    ("failed_nodes", {"ends": {"node_fail": 2, "completed": 1}, "failed_nodes": ("n03", "n17")},
     "lost its node twice (n03, n17): tell the administrators; the run avoids it by itself"),
    ("throttling", {"throttled": {"heat": 0.3, "power": 0.6}},
     "GPUs were slowed down by heat for 30 % of the time: tell the administrators the node"),
]  # fmt: skip
"""The rule, how the run differs from `GOOD`, and what is said."""


@pytest.mark.parametrize(
    ("rule", "changes", "sentence"), SAID, ids=[f"{rule}-{n}" for n, (rule, *_) in enumerate(SAID)]
)
def test_what_is_said(rule: str, changes: dict[str, Any], sentence: str) -> None:
    said = {each.rule: each.sentence for each in advice(replace(GOOD, **changes))}
    assert said.get(rule) == sentence


SILENT: list[tuple[str, dict[str, Any]]] = [
    ("cpus", {"cpus": 4.1}),
    ("cpus", {"cpus": 1.1, "cpus_asked": 3.0}),
    ("cpus", {"cpus": None}),
    ("few_cpus", {"cpus": 1.95, "cpus_asked": 2.0, "idle": 0.1}),
    ("idle_gpu", {"idle": 0.24, "data_wait": 0.4}),
    ("idle_gpu", {"idle": None, "data_wait": 0.4}),
    ("unused_gpu", {"busy": 0.02}),
    ("unused_gpu", {"busy": 0.0, "seconds": {"training": 100.0}}),
    ("small_kernels", {"busy": 0.98, "sm": 0.4}),
    ("gpu_memory", {"gpu_memory": 9_000_000_000, "busy": 0.9, "siblings": 4}),
    ("gpu_memory", {"gpu_memory": 9_000_000_000, "busy": 0.5, "siblings": 4, "pack": 2}),
    ("gpu_memory", {"gpu_memory": 9_000_000_000, "busy": 0.5, "gpus": 8}),
    ("many_gpus", {"gpus": 2, "busy": 0.45}),
    ("many_gpus", {"gpus": 8, "busy": 0.9}),
    ("host_memory", {"memory": 7_000_000_000, "host_oom": 1}),
    ("host_memory", {"memory": 1_000_000_000, "memory_asked": 8_000_000_000}),
    ("time_limit", {"longest": 1.5 * HOUR, "is_complete": False}),
    ("time_limit", {"longest": 1.5 * HOUR, "ends": {"timeout": 1, "completed": 1}}),
    ("time_limit", {"longest": 60.0, "time_limit": HOUR}),
    ("short_limit", {"ends": {"timeout": 1}}),
    ("full_precision", {"precision": "fp32", "gpu": "Tesla V100-SXM2-32GB"}),
    ("full_precision", {"precision": "fp32", "gpu": None}),
    ("many_preemptions", {"ends": {"preempted": 12}}),
    ("restarts", {"ends": {"preempted": 2}, "seconds": spent(training=8.0, starting=2.0)}),
    ("lost_training", {"seconds": spent(training=8.0, lost_to_failure=1.2, saving=0.8)}),
    ("lost_training", {"ends": {"hung": 2}, "uncovered": 0.1, "seconds": spent(training=7.9, lost_to_failure=2.1)}),
    ("hangs", {"ends": {"hung": 1}, "stood_still": 60.0, "seconds": spent(training=0.3, lost_to_failure=0.1)}),
    ("costly_saves", {"seconds": spent(training=7.2, saving=1.4, lost_to_preemption=1.4)}),
    ("evaluations", {"evaluating": None}),
    ("waited_with_gpus", {"seconds": spent(training=9.5, holding=0.5)}),
    ("long_wait", {"wait": 20 * HOUR}),
    ("slow_start", {"first_start": 1500.0}),
    ("short_runs", {"siblings": 2, "seconds": {"training": 40.0, "starting": 60.0}}),
    ("crashes", {"ends": {"crash": 1, "completed": 1}}),
    ("throttling", {"throttled": {"power": 0.9}}),
]


@pytest.mark.parametrize(("rule", "changes"), SILENT, ids=[f"{rule}-{n}" for n, (rule, _) in enumerate(SILENT)])
def test_where_nothing_is_said(rule: str, changes: dict[str, Any]) -> None:
    assert rule not in {each.rule for each in advice(replace(GOOD, **changes))}


def test_nothing_is_said_of_a_good_run_or_one_of_which_nothing_is_known() -> None:
    assert advice(GOOD) == ()
    assert advice(RunFacts()) == ()


def test_every_rule_has_a_row_in_both_tables_or_cannot_keep_silent_otherwise() -> None:
    rules = {rule.__name__ for rule in RULES}
    assert {name for name, *_ in SAID} == rules
    assert rules - {name for name, _ in SILENT} == {"host_out_of_memory", "gpu_out_of_memory", "failed_nodes"}


def test_what_costs_most_comes_first() -> None:
    said = advice(replace(GOOD, cpus=1.1, idle=0.4, throttled={"heat": 0.9}))
    assert [each.rule for each in said] == ["throttling", "idle_gpu", "cpus"]
    assert [each.gpu_hours for each in said] == [9.0, 4.0, None]


def test_a_limit_has_room_for_half_as_much_again() -> None:
    assert [clock_limit(seconds) for seconds in (60, 20 * 60, HOUR, 10 * HOUR)] == [
        "0:30:00", "0:30:00", "1:30:00", "15:00:00"
    ]  # fmt: skip
