"""The facts that advice is given on, from a run directory with samples and from Slurm's record of its job."""

from __future__ import annotations

import json
from typing import Any

import pytest

from passingloop.report.usage.advice import advice
from passingloop.report.usage.allocation_use import Allocation
from passingloop.rundir.directory import RunDir
from passingloop.rundir.samples import Device, GpuSample, NodeSamples, Sample
from passingloop.usage.advice_facts import run_facts
from passingloop.usage.joining import joined
from passingloop.usage.run_records import RunRecord
from tests.usage.told import NOON, Told, job


def sampled(run: RunDir, attempt: int, at: float, busy: float, cpus: float, memory: int) -> None:
    """Ten minutes on an H200."""
    run.samples.mkdir(exist_ok=True)
    device = Device(name="NVIDIA H200", uuid="GPU-1", memory=141_000_000_000)
    header = NodeSamples(attempt=attempt, node="n1", devices=(device,), cpus=8, memory_limit=64 * 2**30)
    gpu = GpuSample(busy=busy, memory=9 * 2**30, power=400.0)
    rows = [Sample(time=NOON + at + 60 * n, seconds=60.0, gpus=(gpu,), cpus=cpus, memory=memory) for n in range(10)]
    lines: list[Any] = [header.to_header(), *(row.to_row() for row in rows)]
    path = run.samples / f"attempt-{attempt:04d}-n1.jsonl"
    path.write_text("".join(f"{json.dumps(line)}\n" for line in lines))


@pytest.fixture
def run(told: Told) -> RunDir:
    """Two attempts: one ran out of host memory after 600 s, the other one was done after 1,200."""
    run = told.runs.new("name=a", "trainer.eval_every=50", "resources.time=2:00:00")
    told.queued(run, -100, "12")
    told.start(run, 0, "12")
    told.end(run, 600, "oom", starting=100, training=500, lost=300, evaluating=50, data_wait=100)
    told.decided(run, 601, "requeue")
    told.start(run, 1000, "12")
    told.end(run, 2200, "completed", starting=100, training=1100, evaluating=110, data_wait=220)
    sampled(run, 1, 0, 0.0, 1.0, 2**30)
    sampled(run, 2, 1000, 0.5, 3.0, 4 * 2**30)
    return run


def held(record: RunRecord) -> list[Allocation]:
    jobs = [job("12", 0, 600, memory=8 * 2**30, cpus=8, state="OUT_OF_MEMORY"),
            job("12", 1000, 2200, memory=16 * 2**30, cpus=8, time_limit=7200.0)]  # fmt: skip
    return joined(jobs, [record], NOON - 1000, NOON + 10_000, {})


def test_with_samples_and_accounting(told: Told, run: RunDir) -> None:
    record = told.read(run)
    facts = run_facts(record, held(record), siblings=3)
    assert facts.gpu_hours == pytest.approx(1800 / 3600)
    assert facts.seconds == pytest.approx({"starting": 200, "training": 1300, "lost_to_failure": 300})
    assert (facts.gpus, facts.nodes, facts.processes, facts.gpu) == (1, 1, 1, "NVIDIA H200")
    assert (facts.busy, facts.idle, facts.sm) == (pytest.approx(0.25), pytest.approx(0.5), None)
    assert (facts.gpu_memory, facts.gpu_memory_total) == (9 * 2**30, 141_000_000_000)
    assert (facts.cpus, facts.cpus_asked) == (pytest.approx(2.0), 8.0)
    assert (facts.memory, facts.memory_asked) == (4 * 2**30, 16 * 2**30)
    assert (facts.evaluating, facts.data_wait) == (pytest.approx(0.1), pytest.approx(0.2))
    assert (facts.eval_every, facts.micro_batch, facts.pack, facts.siblings) == (50, "auto", 1, 3)
    assert facts.epochs == 5.0
    assert (facts.time_limit, facts.longest, facts.wait) == (7200.0, 1200.0, 120.0)
    assert facts.ends == {"oom": 1, "completed": 1}
    assert (facts.first_start, facts.is_complete) == (100, False)


def test_without_accounting(told: Told, run: RunDir) -> None:
    record = told.read(run)
    facts = run_facts(record, joined([], [record], NOON - 1000, NOON + 10_000, {}))
    assert (facts.time_limit, facts.memory_asked) == (7200.0, None)
    assert facts.cpus_asked == 8.0  # as its samples say


def test_a_hang_is_told_from_training_that_was_lost(told: Told) -> None:
    """Of 2,000 s it hung for 1,800; 40 were steps that no checkpoint had."""
    run = told.runs.new("name=a")
    told.start(run, 0, None)
    told.end(run, 2000, "hung", starting=60, training=140, lost=40)
    record = told.read(run)
    facts = run_facts(record, joined([], [record], NOON - 1000, NOON + 10_000, {}))
    assert facts.seconds == pytest.approx({"starting": 60, "training": 100, "lost_to_failure": 1840})
    assert (facts.lost_share, facts.stood_still) == (pytest.approx(0.02), 1800)
    assert [said.rule for said in advice(facts)] == ["hangs"]


def test_a_ledger_of_an_earlier_version(told: Told) -> None:
    run = told.runs.new("name=a")
    told.start(run, 0, None, gpus=None)
    told.end(run, 600, "completed", training=500)
    record = told.read(run)
    facts = run_facts(record, joined([], [record], NOON, NOON + 10_000, {}))
    assert (facts.gpus, facts.busy, facts.data_wait, facts.evaluating, facts.first_start) == (None,) * 5
