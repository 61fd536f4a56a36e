"""Samples summed up: by attempt, by run, and from the end of the file only."""

from __future__ import annotations

from pathlib import Path

import pytest

from passingloop.rundir import samples as samples_module
from passingloop.rundir import usage as usage_module
from passingloop.rundir.directory import RunDir
from passingloop.rundir.samples import Device, GpuSample, NodeSamples, Sample, SamplesFile
from passingloop.rundir.usage import Totals, Usage, read_usage, sum_up

GIB = 2**30
NODE = NodeSamples(
    attempt=1, node="n1", devices=(Device(name="H200", uuid="a", memory=141 * GIB),), cpus=8, memory_limit=64 * GIB
)


def sample(seconds: float = 10.0, gpu: GpuSample | None = None, **host: float | None) -> Sample:
    gpus = (GpuSample() if gpu is None else gpu,)
    return Sample(time=0.0, seconds=seconds, gpus=gpus, **host)  # type: ignore[arg-type]


def write(run: RunDir, node: NodeSamples, lines: list[object]) -> Path:
    run.samples.mkdir(exist_ok=True)
    with SamplesFile(run.samples_of(node.attempt, node.node), node) as file:
        for line in lines:
            file.append(line)
    return run.samples_of(node.attempt, node.node)


def totals(*samples: Sample) -> object:
    made = Totals()
    for each in samples:
        made.add(each)
    return made.to_line()


BUSY = sample(30.0, GpuSample(busy=1.0, power=600.0, memory=20 * GIB, throttled=("power", "heat")), cpus=2.0, read=1e6)
IDLE = sample(10.0, GpuSample(busy=0.04, power=100.0, memory=90 * GIB, throttled=()), cpus=0.0, memory=9 * GIB)


def usage_of(node: NodeSamples) -> Usage | None:
    totals = Totals()
    for each in node.samples:
        totals.add(each)
    return sum_up([(node, totals)])


def test_means_are_weighed_by_time_and_peaks_are_not() -> None:
    usage = usage_of(NodeSamples.from_header(NODE.to_header(), [BUSY, IDLE]))
    assert usage == Usage(
        nodes=1,
        gpus=1,
        devices=("H200",),
        seconds=40.0,
        gpu_seconds=40.0,
        busy=pytest.approx(0.76),
        idle=0.25,
        gpu_memory=90 * GIB,
        gpu_memory_total=141 * GIB,
        energy=19_000.0,
        power=475.0,
        throttled={"power": 0.75, "heat": 0.75},
        cpus=1.5,
        cpus_available=8.0,
        memory=9 * GIB,
        memory_limit=64 * GIB,
        read=30e6,
    )


def test_what_no_sample_tells_is_absent_and_time_without_an_answer_does_not_count() -> None:
    usage = usage_of(NodeSamples.from_header(NODE.to_header(), [sample(), sample(gpu=GpuSample(busy=0.5, sm=0.0))]))
    assert usage
    assert (usage.busy, usage.sm, usage.tensor, usage.energy, usage.cpus) == (0.5, 0.0, None, None, None)
    assert (usage.seconds, usage.idle, usage.throttled) == (20.0, 0.0, {})


def test_without_samples_there_is_no_usage(tmp_path: Path) -> None:
    assert usage_of(NODE) is None
    assert read_usage(RunDir(tmp_path)) is None
    write(RunDir(tmp_path), NODE, [])
    assert read_usage(RunDir(tmp_path)) is None


def test_nodes_and_attempts_together(tmp_path: Path) -> None:
    """Two nodes for 40 seconds, then one for 10: 50 seconds in all, and 90 of GPUs."""
    run = RunDir(tmp_path)
    write(run, NODE, [BUSY.to_row(), IDLE.to_row()])
    second = NodeSamples(attempt=1, node="n2", devices=(Device(name="A100", uuid="b", memory=80 * GIB),), cpus=4)
    write(run, second, [sample(40.0, GpuSample(busy=1.0), cpus=4.0).to_row()])
    write(run, NodeSamples(attempt=2, node="n1", devices=NODE.devices), [IDLE.to_row()])
    both, later, all_of_it = read_usage(run, 1), read_usage(run, 2), read_usage(run)
    assert both
    assert later
    assert all_of_it
    assert (both.nodes, both.gpus, both.seconds, both.gpu_seconds) == (2, 2, 40.0, 80.0)
    assert (both.devices, both.gpu_memory_total, both.cpus_available) == (("A100", "H200"), 80 * GIB, 6.0)
    assert (later.nodes, later.seconds, later.cpus_available) == (1, 10.0, None)
    assert (all_of_it.nodes, all_of_it.gpus, all_of_it.seconds, all_of_it.gpu_seconds) == (2, 2, 50.0, 90.0)
    assert all_of_it.energy == pytest.approx(20_000.0)


@pytest.mark.parametrize("after", [0, 1, 100, 5000])
def test_totals_stand_for_the_samples_above_them(tmp_path: Path, after: int) -> None:
    """And samples after the newest totals are added, however many they are."""
    run = RunDir(tmp_path)
    lines = [IDLE.to_row(), totals(IDLE), BUSY.to_row(), totals(IDLE, BUSY), *[IDLE.to_row()] * after]
    write(run, NODE, lines)
    expected = usage_of(NodeSamples.from_header(NODE.to_header(), [IDLE, BUSY, *[IDLE] * after]))
    read = read_usage(run)
    assert read
    assert expected
    assert (read.seconds, read.energy, read.idle) == pytest.approx((expected.seconds, expected.energy, expected.idle))
    assert (read.memory, read.throttled) == (expected.memory, pytest.approx(expected.throttled))


def test_of_a_long_attempt_little_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = RunDir(tmp_path)
    path = write(run, NODE, [*[BUSY.to_row()] * 20_000, totals(*[BUSY] * 20_000)])
    read: list[int | None] = []

    def counted(path: Path, tail: int | None = None) -> object:
        read.append(tail)
        return samples_module.read_lines(path, tail)

    monkeypatch.setattr(usage_module, "read_lines", counted)
    usage = read_usage(run)
    assert usage
    assert usage.seconds == 600_000.0
    assert read == [usage_module.LAST_LINE_BYTES]
    assert path.stat().st_size > 100 * usage_module.LAST_LINE_BYTES
