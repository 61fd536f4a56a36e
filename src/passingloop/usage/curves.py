"""Curves of a run: its metrics over steps, and what was sampled over time; both thinned out for a page."""

from __future__ import annotations

import itertools
import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TypeVar, get_args

from passingloop.errors import OtherVersion
from passingloop.figures import thinned
from passingloop.report.usage.content import MAX_POINTS, Curve, Resource, ResourceCurve
from passingloop.rundir.directory import RunDir
from passingloop.rundir.samples import GpuSample, NodeSamples, Sample, read_samples
from passingloop.track.metrics_file import Row, read_metrics, values_of

Point = TypeVar("Point")

Points = list[tuple[float, float | None]]

DRAWN = ("loss", "lr", "grad_norm", "samples_per_second", "data_wait", "mfu_causal")
"""The metrics of training that have a curve. Of validation and test all have one."""

OF_ALL_NODES: tuple[Resource, ...] = ("gpu_power", "cpus", "memory")
"""Resources of which the curve is the sum over the nodes; of the others it is the mean over all GPUs."""


def metric_curves(path: Path) -> Iterator[Curve]:
    """The curves in a file of metrics, in its order; none if it cannot be read."""
    try:
        rows = read_metrics(path, MAX_POINTS)
    except OSError:  # closed to us
        return
    points: dict[tuple[str, str], list[tuple[int, float | None]]] = defaultdict(list)
    for row in _without_lost_steps(rows):
        for metric, value in values_of(row).items():
            if isinstance(value, int | float) and (row["split"] != "train" or metric in DRAWN):
                points[row["split"], metric].append((row["step"], _short(value) if math.isfinite(value) else None))
    for (split, metric), series in points.items():
        steps, values = zip(*thinned(series, MAX_POINTS), strict=True)
        yield Curve(split=split, metric=metric, steps=steps, values=values)


def _without_lost_steps(rows: Sequence[Row]) -> list[Row]:
    """Without the rows of steps from which a later attempt began again, whether it has come to them or not."""
    kept: list[Row] = []
    begun: dict[str, int] = {}
    for _, group in itertools.groupby(reversed(rows), key=lambda row: row["attempt"]):
        of_attempt = list(group)
        kept += [row for row in of_attempt if row["step"] < begun.get(row["split"], row["step"] + 1)]
        for row in of_attempt:
            begun[row["split"]] = min(row["step"], begun.get(row["split"], row["step"]))
    return kept[::-1]


def resource_curves(run: RunDir) -> Iterator[ResourceCurve]:
    """What was sampled, over all attempts; empty if it was written by a later version of the program."""
    by_attempt: dict[int, list[NodeSamples]] = defaultdict(list)
    try:
        for node in read_samples(run, most=MAX_POINTS):
            by_attempt[node.attempt].append(node)
    except OtherVersion:
        return
    room = max(2, MAX_POINTS // max(1, len(by_attempt)))
    series: dict[Resource, Points] = defaultdict(list)
    for _, members in sorted(by_attempt.items()):
        for name, points in _attempt_curves(members, room).items():
            if series[name]:
                series[name].append((points[0][0], None))
            series[name] += points
    for name in get_args(Resource):
        if name in series:
            times, values = zip(*series[name], strict=True)
            yield ResourceCurve(name=name, times=times, values=values)


def _attempt_curves(members: Sequence[NodeSamples], room: int) -> dict[Resource, Points]:
    """The curves of one attempt: a point for each of at most `room` equal spans of time in which there are samples."""
    samples = [sample for node in members for sample in node.samples]
    if not samples:
        return {}
    first, last = min(sample.time for sample in samples), max(sample.time for sample in samples)
    width = max((last - first) / room, 1.0)
    spans: dict[int, dict[Resource, list[float]]] = defaultdict(lambda: defaultdict(list))
    for sample in samples:
        span = min(room - 1, int((sample.time - first) / width))
        for name, value in _values(sample):
            if value is not None:
                spans[span][name].append(value)
    curves: dict[Resource, Points] = defaultdict(list)
    for span, found in sorted(spans.items()):
        for name, values in found.items():
            mean = sum(values) / len(values) * (len(members) if name in OF_ALL_NODES else 1)
            curves[name].append(
                (round(first + (span + 0.5) * width, 1), _short(max(values) if name == "gpu_memory" else mean))
            )
    return curves


def _values(sample: Sample) -> Iterator[tuple[Resource, float | None]]:
    for gpu in sample.gpus:
        yield from _gpu_values(gpu)
    powers = [gpu.power for gpu in sample.gpus if gpu.power is not None]
    yield "gpu_power", sum(powers) if powers else None
    yield "cpus", sample.cpus
    yield "memory", sample.memory


def _gpu_values(gpu: GpuSample) -> Iterator[tuple[Resource, float | None]]:
    yield "gpu_busy", gpu.busy
    yield "gpu_sm", gpu.sm
    yield "gpu_tensor", gpu.tensor
    yield "gpu_memory", gpu.memory


def _short(value: float) -> float:
    """With five digits: a page has thousands of numbers."""
    return float(f"{value:.5g}")
