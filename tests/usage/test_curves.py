"""Curves: what is drawn of metrics and samples."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

from passingloop.report.usage.content import MAX_POINTS
from passingloop.rundir.directory import RunDir
from passingloop.rundir.samples import Device, GpuSample, NodeSamples, Sample
from passingloop.usage.curves import metric_curves, resource_curves


def test_metrics_across_attempts(tmp_path: Path) -> None:
    """Steps 3 and 4 were trained again by the second attempt."""
    rows = [(1, step, {"loss": 1 / step, "epoch": 0.1}) for step in (1, 2, 3, 4)]
    rows += [(2, step, {"loss": 10.0 + step, "lr": 1e-4}) for step in (3, 4, 5)] + [(2, 6, {"loss": "NaN"})]
    lines = [
        {"time": "t", "attempt": attempt, "step": step, "split": "train", **values} for attempt, step, values in rows
    ]
    lines.append({"time": "t", "attempt": 2, "step": 6, "split": "validation", "accuracy": 0.123456789})
    path = tmp_path / "metrics.jsonl"
    path.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    curves = {(curve.split, curve.metric): (curve.steps, curve.values) for curve in metric_curves(path)}
    assert curves == {
        ("train", "loss"): ((1, 2, 3, 4, 5, 6), (1.0, 0.5, 13.0, 14.0, 15.0, None)),
        ("train", "lr"): ((3, 4, 5), (1e-4, 1e-4, 1e-4)),
        ("validation", "accuracy"): ((6,), (0.12346,)),
    }


def write(run: RunDir, attempt: int, node: str, times: list[float], busy: float, memory: int, power: float) -> None:
    run.samples.mkdir(exist_ok=True)
    device = Device(name="NVIDIA H200", uuid="GPU-1", memory=141 * 2**30)
    header = NodeSamples(attempt=attempt, node=node, devices=(device,))
    gpu = GpuSample(busy=busy, memory=memory, power=power)
    lines = [header.to_header(), *(Sample(time=at, seconds=5.0, gpus=(gpu,), cpus=2.0).to_row() for at in times)]
    path = run.samples / f"attempt-{attempt:04d}-{node}.jsonl"
    path.write_text("".join(f"{json.dumps(line)}\n" for line in lines))


def test_long_files_are_read_in_part(tmp_path: Path) -> None:
    """Ten thousand steps, of which the last thousand were lost; the next attempt has trained 300 of them again."""
    path = tmp_path / "metrics.jsonl"
    steps = [(1, step) for step in range(1, 10_001)] + [(2, step) for step in range(9_001, 9_301)]
    rows = [{"time": "t", "attempt": number, "step": step, "split": "train", "loss": step} for number, step in steps]
    rows.insert(5_000, {"time": "t", "attempt": 1, "step": 5_000, "split": "validation", "loss": 7.0})
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    curves = {curve.split: curve for curve in metric_curves(path)}
    train = curves["train"]
    assert curves["validation"].steps == (5_000,)
    assert 100 <= len(train.steps) <= MAX_POINTS
    assert (train.steps[0], train.steps[-1]) == (1, 9_300)
    assert list(train.steps) == sorted(set(train.steps))
    assert max(b - a for a, b in itertools.pairwise(train.steps)) < 200
    run = RunDir(tmp_path)
    write(run, 1, "n1", [1000.0 + 5 * number for number in range(20_000)], 0.5, 2**30, 300.0)
    [cpus] = [curve for curve in resource_curves(run) if curve.name == "cpus"]
    assert 100 <= len(cpus.times) <= MAX_POINTS
    assert cpus.times[0] < 3_000
    assert cpus.times[-1] > 99_000
    assert set(cpus.values) == {2.0}


def test_resources_across_nodes_and_attempts(tmp_path: Path) -> None:
    run = RunDir(tmp_path)
    write(run, 1, "n1", [1000.0, 1005.0], 0.5, 2**30, 300.0)
    write(run, 1, "n2", [1000.0, 1005.0], 1.0, 3 * 2**30, 500.0)
    write(run, 2, "n1", [2000.0], 0.25, 2**30, 100.0)
    curves = {curve.name: curve for curve in resource_curves(run)}
    assert curves.keys() == {"gpu_busy", "gpu_memory", "gpu_power", "cpus"}
    assert curves["gpu_busy"].values == (0.75, 0.75, None, 0.25)
    assert curves["gpu_memory"].values == (round(3 * 2**30, -5), round(3 * 2**30, -5), None, round(2**30, -5))
    assert curves["gpu_power"].values == (800.0, 800.0, None, 100.0)
    assert curves["cpus"].values == (4.0, 4.0, None, 2.0)
    first, second, gap, last = curves["cpus"].times
    assert 1000 <= first < second <= 1006 < gap == last <= 2001


def test_no_samples(tmp_path: Path) -> None:
    assert list(resource_curves(RunDir(tmp_path))) == []
