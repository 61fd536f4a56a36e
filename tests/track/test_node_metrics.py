from __future__ import annotations

from pathlib import Path

from passingloop.rundir.directory import RunDir
from passingloop.rundir.samples import Device, GpuSample, NodeSamples, Sample, SamplesFile
from passingloop.track.node_metrics import AXIS, PERIOD, NewRows, metric_rows
from tests.track.conftest import CREATED, made_record

DEVICE = Device(name="NVIDIA H200", uuid="GPU-1", memory=150_000_000_000)


def sample(second: float, busy: float | None = 0.5, **host: float) -> Sample:
    gpu = GpuSample(busy=busy, memory=30 * 2**30, power=None if busy is None else 600 * busy)
    return Sample(time=CREATED + second, seconds=10.0, gpus=(gpu,), **host)  # type: ignore[arg-type]


def node(*samples: Sample, name: str = "n1") -> NodeSamples:
    return NodeSamples(attempt=2, node=name, devices=(DEVICE,), samples=samples)


def test_a_row_is_of_all_nodes_and_gpus_in_its_period() -> None:
    nodes = [node(sample(0, 0.2), sample(10, 0.4)), node(sample(5, 0.9, cpus=3.0), name="n2")]
    [(_, row)] = metric_rows(nodes, CREATED)
    assert row[AXIS] == 0.5
    assert round(row["resources/gpu_busy"], 6) == 0.5
    assert round(row["resources/gpu_power_watts"], 6) == 300
    assert round(row["resources/gpu_memory_gb"], 3) == 32.212
    assert row["resources/cpus"] == 3.0


def test_what_was_not_measured_is_not_in_a_row() -> None:
    [(_, row)] = metric_rows([node(sample(0, None))], CREATED)
    assert set(row) == {AXIS, "resources/gpu_memory_gb"}
    assert list(metric_rows([node(Sample(time=CREATED, seconds=10.0))], CREATED)) == []


def test_each_row_is_given_once_when_its_period_is_over(tmp_path: Path) -> None:
    made_record(tmp_path)
    run = RunDir(tmp_path)
    run.samples.mkdir()
    rows = NewRows(run, 2)
    with SamplesFile(run.samples_of(2, "n1"), node()) as file:
        file.append(sample(0).to_row())
        assert list(rows.take(CREATED + 20)) == []
        assert [row[AXIS] for row in rows.take(CREATED + PERIOD)] == [0.5]
        file.append(sample(PERIOD).to_row())
        assert list(rows.take(CREATED + PERIOD + 20)) == []
        assert [row[AXIS] for row in rows.take(CREATED + 2 * PERIOD)] == [1.0]
        assert list(rows.take(CREATED + 3 * PERIOD)) == []
