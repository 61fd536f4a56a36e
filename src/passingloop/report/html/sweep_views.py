"""The sweeps: for each the best run, parallel coordinates of its settings and results, and the same as a table."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from passingloop.report.html.markup import Child, Markup, element
from passingloop.report.html.quantities import ABSENT, significant
from passingloop.report.html.sections import chart
from passingloop.report.html.sortable_table import Cell, Column, number_cell, share_cell, table, text_cell
from passingloop.report.search.search_content import setting_word
from passingloop.report.usage.content import Sweep, SweepPoint
from passingloop.track.metrics_file import lower_is_better, main_metric

MAX_NAMED = 5
"""Runs with the same best value that are named."""

MAX_AXES = 8
"""Settings that have an axis in the chart. The table has all."""

LOG_SPAN = 20.0
"""An axis is logarithmic if its largest value is this many times the smallest."""

FEW_VALUES = 8
"""An axis of so few different values has a place for each: 4, 8, 16 and 64 are then told apart."""


def sweeps_view(sweeps: Sequence[Sweep], links: Mapping[str, str]) -> Markup:
    """All sweeps, and below a page for each."""
    columns = [
        Column("Experiment", is_text=True),
        Column("Runs"),
        Column("Completed"),
        Column("GPU-hours"),
        Column("Settings that differ", is_text=True),
        Column("Best", is_text=True),
    ]
    rows = [_sweep_row(index, sweep) for index, sweep in enumerate(sweeps)]
    listed = (
        table("Experiments whose runs have different settings", columns, rows, identity="all-sweeps", all_rows=True)
        if sweeps
        else element("p", "No experiment has runs with different settings in this period.")
    )
    heading = element("h1", "Sweeps", tabindex="-1")
    overview = element("div", heading, listed, class_="view", id="sweeps", data_title="Sweeps")
    return Markup(overview + Markup("".join(_sweep_page(index, sweep, links) for index, sweep in enumerate(sweeps))))


def sweep_data(sweeps: Sequence[Sweep], links: Mapping[str, str]) -> list[dict[str, Any]]:
    """The axes and lines of each sweep's parallel coordinates. The lines are in the order of the table's rows."""
    return [parallel(sweep, ranked(sweep), best(sweep), links) for sweep in sweeps]


def target(sweep: Sweep) -> str | None:
    """The metric by which the runs are compared."""
    return main_metric(
        [metric for metric in sweep.metrics if any(_finite(point, metric) is not None for point in sweep.points)]
    )


def ranked(sweep: Sweep) -> list[SweepPoint]:
    """The runs by `target`, the best first, those without a value last."""
    metric = target(sweep)
    sign = 1 if metric and lower_is_better(metric) else -1
    return sorted(
        sweep.points, key=lambda point: math.inf if (value := _finite(point, metric)) is None else sign * value
    )


def best(sweep: Sweep) -> SweepPoint | None:
    """The best run that is complete; of unfinished ones only if none is complete."""
    scored = [point for point in ranked(sweep) if _finite(point, target(sweep)) is not None]
    return next((point for point in scored if point.is_complete), scored[0] if scored else None)


def equally_good(sweep: Sweep) -> list[SweepPoint]:
    """The best run, and those that are as complete and have the same value."""
    winner, metric = best(sweep), target(sweep)
    if winner is None:
        return []
    return [
        point
        for point in ranked(sweep)
        if point.is_complete == winner.is_complete and _finite(point, metric) == _finite(winner, metric)
    ]


def _sweep_row(index: int, sweep: Sweep) -> list[Cell]:
    winner, metric = best(sweep), target(sweep)
    value = winner.metrics[metric] if winner and metric else None
    return [
        Cell(element("a", sweep.name, href=f"#sweep/{index + 1}"), sweep.name.lower()),
        number_cell(len(sweep.points)),
        number_cell(sum(point.is_complete for point in sweep.points)),
        number_cell(sum(point.gpu_hours for point in sweep.points)),
        Cell(", ".join(sweep.parameters), ", ".join(sweep.parameters)),
        Cell(f"{metric} {value:.4g}" if value is not None else ABSENT, value),
    ]


def _sweep_page(index: int, sweep: Sweep, links: Mapping[str, str]) -> Markup:
    name = f"sweep-{index + 1}"
    metric = target(sweep)
    axes = ", ".join([*sweep.parameters[:MAX_AXES], metric or ""]).rstrip(", ")
    thick = "one of the best" if len(equally_good(sweep)) > 1 else "the best"
    about = f"Parallel coordinates of {len(sweep.points)} runs over {axes}. The table below has the same values."
    return element(
        "div",
        element("p", element("a", "All sweeps", href="#sweeps"), class_="back"),
        element("h1", sweep.name, tabindex="-1"),
        _best_sentence(sweep, links),
        _rung_table(sweep, f"{name}-rungs") if sweep.rungs else None,
        element(
            "p", f"A line is a run; the thick one is {thick}. Drag along an axis to choose runs.", class_="scripted"
        ),
        chart(f"{name}-chart", about, "parallel"),
        _points_table(sweep, links, name),
        class_="view",
        id=name,
        data_title=sweep.name,
    )


def _rung_table(sweep: Sweep, identity: str) -> Markup:
    """How many points came to each rung, and the best value there."""
    columns = [
        Column("Rung"),
        Column("Trains to"),
        *(Column(title) for title in ("Points", "Done", "Go on", "Failed")),
        Column("Best", sweep.compared_by or ""),
    ]
    rows = [
        [
            Cell(f"{rung.number + 1} of {len(sweep.rungs)}", rung.number),
            share_cell(rung.fraction),
            number_cell(rung.told),
            number_cell(rung.done),
            number_cell(rung.went_on) if rung is not sweep.rungs[-1] else Cell(ABSENT),
            number_cell(rung.failed),
            _metric_cell(rung.best),
        ]
        for rung in sweep.rungs
    ]
    return table("Points at each rung", columns, rows, identity=identity, all_rows=True)


def _best_sentence(sweep: Sweep, links: Mapping[str, str]) -> Child:
    winners, metric = equally_good(sweep), target(sweep)
    if not winners or metric is None:
        return element("p", "No run has a result yet.", class_="lead")
    winner = winners[0]
    value = element("strong", f"{winner.metrics[metric]:.4g}")
    if len(winners) > 1:
        alike = f"Of {len(sweep.points)} runs, {len(winners)} have the same and best {metric}, "
        return element("p", [alike, value, ": ", *_links(winners, links), "."], class_="lead")
    chosen = ", ".join(f"{key}={setting_word(winner.overrides.get(key))}" for key in sweep.parameters)
    sentence = [
        f"Of {len(sweep.points)} runs, ",
        _link(winner.run, links),
        f" has the best {metric}, ",
        value,
        f", with {chosen}.",
    ]
    return element("p", sentence, class_="lead")


def _points_table(sweep: Sweep, links: Mapping[str, str], name: str) -> Markup:
    chosen = target(sweep)
    metrics = sorted(sweep.metrics, key=lambda metric: (metric != chosen, not metric.startswith("test")))
    columns = [
        Column("Run", is_text=True),
        *(Column(key, is_text=not _is_numeric(sweep, key)) for key in sweep.parameters),
        *(Column(metric) for metric in metrics),
        Column("GPU-hours"),
        Column("Completed", is_text=True),
    ]
    rows = [
        [
            Cell(_link(point.run, links), point.run.lower()),
            *(_setting_cell(point.overrides.get(key)) for key in sweep.parameters),
            *(_metric_cell(point.metrics.get(metric)) for metric in metrics),
            number_cell(point.gpu_hours),
            text_cell("yes" if point.is_complete else "no"),
        ]
        for point in ranked(sweep)
    ]
    return table(
        "Runs of the sweep, the best first" if chosen else "Runs of the sweep",
        columns,
        rows,
        identity=f"{name}-runs",
        sorted_by=1 + len(sweep.parameters) if chosen else None,
        ascending=bool(chosen and lower_is_better(chosen)),
        all_rows=True,
    )


def parallel(
    sweep: Sweep, points: Sequence[SweepPoint], winner: SweepPoint | None, links: Mapping[str, str]
) -> dict[str, Any]:
    """The axes and lines of parallel coordinates.

    Args:
        points: those of `sweep`, in the order of the table's rows.
        winner: the one whose line is thick.
    """
    metric = target(sweep)
    axes = [_axis(sweep, key) for key in sweep.parameters[:MAX_AXES]]
    rows = [
        [_coordinate(point.overrides.get(axis["name"]), axis) for axis in axes]
        + ([significant(_finite(point, metric))] if metric else [])
        for point in points
    ]
    if metric:
        axes.append({"name": metric, "kind": "value"})
    return {
        "axes": axes,
        "rows": rows,
        "runs": [[point.run, links.get(point.run)] for point in points],
        "best": next((index for index, point in enumerate(points) if point is winner), None),
        "metric": metric,
        "lower": bool(metric and lower_is_better(metric)),
    }


def _axis(sweep: Sweep, key: str) -> dict[str, Any]:
    values = [point.overrides.get(key) for point in sweep.points]
    numbers = sorted({value for value in values if value is not None}) if _is_numeric(sweep, key) else []
    if len(numbers) <= FEW_VALUES:
        words = [setting_word(value) for value in numbers or values if value is not None]
        return {"name": key, "kind": "category", "values": list(dict.fromkeys(words))}
    spans = numbers[0] > 0 and numbers[-1] / numbers[0] >= LOG_SPAN
    return {"name": key, "kind": "log" if spans else "value", "ends": [numbers[0], numbers[-1]]}


def _is_numeric(sweep: Sweep, key: str) -> bool:
    values = [point.overrides.get(key) for point in sweep.points if point.overrides.get(key) is not None]
    return bool(values) and all(_is_number(value) for value in values)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _coordinate(value: Any, axis: Mapping[str, Any]) -> Any:
    if value is None:
        return None
    return setting_word(value) if axis["kind"] == "category" else value


def _setting_cell(value: Any) -> Cell:
    if value is None:
        return Cell(ABSENT)
    return Cell(setting_word(value), value if _is_number(value) else setting_word(value))


def _metric_cell(value: float | None) -> Cell:
    return Cell(ABSENT) if value is None or not math.isfinite(value) else Cell(f"{value:.4g}", value)


def _finite(point: SweepPoint, metric: str | None) -> float | None:
    value = point.metrics.get(metric) if metric else None
    return value if value is not None and math.isfinite(value) else None


def _links(points: Sequence[SweepPoint], links: Mapping[str, str]) -> list[Child]:
    """The first few of the runs, and how many more there are."""
    named = points[:MAX_NAMED]
    words = [word for point in named for word in (", ", _link(point.run, links))][1:]
    return [*words, f" and {len(points) - MAX_NAMED} more"] if len(points) > MAX_NAMED else words


def _link(run: str, links: Mapping[str, str]) -> Child:
    return element("a", run, href=f"#{links[run]}") if run in links else run
