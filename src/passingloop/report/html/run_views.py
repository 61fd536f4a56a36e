"""The runs: a table of all, and the data from which a script makes the page of each."""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import Any

from passingloop.figures import thinned
from passingloop.report.html.markup import Child, Markup, element
from passingloop.report.html.quantities import ABSENT, date, duration, moment, number, significant
from passingloop.report.html.sortable_table import Cell, Column, number_cell, share_cell, table, text_cell
from passingloop.report.html.summary import figure_tiles, sentence
from passingloop.report.usage.content import AttemptPart, Curve, PriceNote, Report, ResourceCurve, RunPage
from passingloop.track.metrics_file import main_metric
from passingloop.track.speed import speed_texts

MAX_RUNS = 1_000
"""Runs with a page; those with the most GPU-hours."""

RUNS_PER_PART = 50
"""Runs whose pages are decompressed together."""

CURVE_BYTES = 3_000_000
"""About how many bytes the curves of all runs may take in the file. With many runs each curve has fewer points."""

BYTES_PER_POINT = 3.5
"""Of a compressed curve, measured with noisy losses."""

FEWEST_POINTS = 24

MAX_CURVES = 8
"""Metrics of a run that are drawn beside its loss."""

RESOURCES: dict[str, tuple[str, str, float]] = {
    "gpu_busy": ("GPU busy", "%", 100),
    "gpu_sm": ("SM active", "%", 100),
    "gpu_tensor": ("Tensor cores active", "%", 100),
    "gpu_memory": ("GPU memory, fullest", "GB", 1e-9),
    "gpu_power": ("Power, all GPUs", "W", 1),
    "cpus": ("CPUs used", "cores", 1),
    "memory": ("Host memory", "GB", 1e-9),
}
"""Title and unit of a resource, and what a value is multiplied by."""


def shown_runs(report: Report) -> Sequence[RunPage]:
    """The runs that have a page, the newest first."""
    if len(report.runs) <= MAX_RUNS:
        return report.runs
    largest = sorted(report.runs, key=lambda run: -run.figures.gpu_hours.allocated)[:MAX_RUNS]
    return sorted(largest, key=lambda run: -run.created)


def run_links(runs: Iterable[RunPage]) -> dict[str, str]:
    """The address of each run's page by the run's name. Of runs with the same name the first, which is the newest."""
    links: dict[str, str] = {}
    for index, run in enumerate(runs):
        links.setdefault(run.name, address(index))
    return links


def address(index: int) -> str:
    """Of the page of a run by its place among the runs of the report."""
    return f"run/{index + 1}"


def run_list(runs: Sequence[RunPage], left_out: int, prices: PriceNote | None, offset: timedelta) -> Child:
    """The table of all runs."""
    if not runs:
        return element("p", "No run held resources in this period.")
    columns = [
        Column("Run", is_text=True),
        Column("User", is_text=True),
        Column("State", is_text=True),
        Column("Attempts"),
        Column("GPU-hours"),
        Column("Busy"),
        Column("Goodput"),
        Column("Wasted", "GPU-h"),
        Column("Result", is_text=True),
        *([Column("Cost", prices.currency)] if prices else []),
        Column("Created", is_text=True),
    ]
    rows = [_run_row(index, run, prices, offset) for index, run in enumerate(runs)]
    return [
        element("p", f"{left_out:,} runs with fewer GPU-hours have no page here.") if left_out else None,
        table("Runs, the newest first", columns, rows, identity="all-runs", all_rows=True),
    ]


def run_data(runs: Sequence[RunPage], prices: PriceNote | None, offset: timedelta) -> dict[str, Any]:
    """What the pages of runs show, in parts of so many runs each: JSON, compressed, as base64.

    The curves of a thousand runs are 12 MB of JSON. Browsers have decompressed gzip by themselves since 2023; here they
    do it for one part at a time.
    """
    points = points_per_curve(sum(len(run.curves) + len(run.resources) for run in runs))
    pages = [_page(run, prices, offset, points) for run in runs]
    parts = [pages[start : start + RUNS_PER_PART] for start in range(0, len(pages), RUNS_PER_PART)]
    return {"each": RUNS_PER_PART, "parts": [_packed(part) for part in parts]}


def _packed(value: Any) -> str:
    words = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return base64.b64encode(gzip.compress(words.encode(errors="replace"), 6, mtime=0)).decode()


def points_per_curve(curves: int) -> int | None:
    """How many points of each curve go into the file; None for all."""
    room = CURVE_BYTES / BYTES_PER_POINT
    return max(FEWEST_POINTS, int(room / curves)) if curves else None


def is_loss(curve: Curve) -> bool:
    return curve.metric == "loss" or curve.metric.endswith("_loss")


def _run_row(index: int, run: RunPage, prices: PriceNote | None, offset: timedelta) -> list[Cell]:
    figures = run.figures
    metric = main_metric(run.metrics)
    money = figures.money.get(prices.here) if prices else None
    return [
        Cell(element("a", run.name, href=f"#{address(index)}"), run.name.lower()),
        text_cell(run.user),
        text_cell(run.state),
        number_cell(len(run.attempts)),
        number_cell(figures.gpu_hours.allocated),
        share_cell(figures.busy_share),
        share_cell(figures.goodput),
        number_cell(figures.gpu_hours.wasted),
        Cell(f"{metric} {_metric(run.metrics[metric])}", run.metrics[metric]) if metric else Cell(ABSENT),
        *([number_cell(money.amount if money else None)] if prices else []),
        Cell(date(run.created, offset), run.created),
    ]


def _page(run: RunPage, prices: PriceNote | None, offset: timedelta, points: int | None) -> dict[str, Any]:
    began = min((part.started for part in run.attempts), default=run.created)
    curves = sorted(run.curves, key=lambda curve: (curve.split != "train", curve.metric))
    others = [curve for curve in curves if not is_loss(curve)][:MAX_CURVES]
    return {
        "name": run.name,
        "facts": [
            ["State", run.state],
            ["User", run.user],
            ["Experiment", run.experiment],
            ["Created", moment(run.created, offset)],
            ["Directory", run.path],
            *([["Speed", ", ".join(speed_texts(run.throughput))]] if run.throughput else []),
        ],
        "tiles": list(figure_tiles(run.figures, prices)),
        "advice": [sentence(advice.sentence) for advice in run.advice],
        "results": [[name, _metric(value)] for name, value in run.metrics.items()],
        "settings": [[name, _setting(value)] for name, value in run.settings.items()],
        "began": round(began),
        "attempts": [_attempt(part, offset) for part in run.attempts],
        "marks": [_mark(part, began) for part in run.attempts],
        "losses": [_curve(curve, points) for curve in curves if is_loss(curve)],
        "metrics": [_curve(curve, points) for curve in others],
        "resources": [_resource(curve, began, points) for curve in run.resources],
    }


def _attempt(part: AttemptPart, offset: timedelta) -> list[str]:
    """A row of the table of attempts."""
    took = duration(part.ended - part.started) if part.ended is not None else "still running"
    end = f"{part.end_step:,}" if part.end_step is not None else ABSENT
    cause = part.cause.replace("_", " ") if part.cause else (ABSENT if part.ended is not None else "running")
    lost = part.seconds.get("lost_to_preemption", 0.0) + part.seconds.get("lost_to_failure", 0.0)
    return [
        str(part.attempt),
        moment(part.started, offset),
        took,
        f"{part.start_step:,}",
        end,
        cause + (f": {part.message}" if part.message else ""),
        duration(lost) if part.seconds else ABSENT,
        number(part.gpus),
        ", ".join(part.nodes) or ABSENT,
        part.job_id or ABSENT,
    ]


def _mark(part: AttemptPart, began: float) -> dict[str, Any]:
    """Where an attempt begins and ends in the charts, by seconds and by steps."""
    return {
        "attempt": part.attempt,
        "from": round(part.started - began),
        "to": round(part.ended - began) if part.ended is not None else None,
        "first": part.start_step,
        "last": part.end_step,
        "cause": part.cause.replace("_", " ") if part.cause else None,
    }


def _curve(curve: Curve, points: int | None) -> dict[str, Any]:
    at = thinned(range(len(curve.steps)), points or len(curve.steps))
    return {
        "name": f"{curve.split}/{curve.metric}",
        "x": _differences([curve.steps[index] for index in at]),
        "y": [significant(curve.values[index]) for index in at],
    }


def _resource(curve: ResourceCurve, began: float, points: int | None) -> dict[str, Any]:
    title, unit, factor = RESOURCES[curve.name]
    gaps = [index for index, value in enumerate(curve.values) if value is None]  # or a line would go across them
    at = sorted({*thinned(range(len(curve.times)), points or len(curve.times)), *gaps})
    values = [curve.values[index] for index in at]
    return {
        "name": title,
        "unit": unit,
        "x": _differences([round(curve.times[index] - began) for index in at]),
        "y": [significant(None if value is None else value * factor, 3) for value in values],
    }


def _differences(values: Sequence[int]) -> list[int]:
    """The first value, and what each of the others adds to the one before: shorter, and compressed better."""
    return [value - before for value, before in zip(values, [0, *values], strict=False)]


def _metric(value: float) -> str:
    return f"{value:.4g}"


def _setting(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, default=str)


def runs_view(runs: Sequence[RunPage], report: Report, offset: timedelta) -> Markup:
    heading = element("h1", "Runs", tabindex="-1")
    listed = run_list(runs, len(report.runs) - len(runs), report.prices, offset)
    return element("div", heading, listed, class_="view", id="runs", data_title="Runs")


def run_view() -> Markup:
    """The page of a run, which a script fills."""
    return element(
        "div",
        element("h1", "Run", tabindex="-1"),
        element("div", id="run-content"),
        class_="view scripted",
        id="run",
        data_title="Run",
    )
