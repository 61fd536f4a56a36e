"""The report on usage as JSON and as CSV. Figures that are not known are null, or empty."""

from __future__ import annotations

import csv
import io
from dataclasses import asdict
from typing import Any

from passingloop.report.usage.content import By, Report, RunPage
from passingloop.report.usage.usage_figures import Figures
from passingloop.rundir.record import iso_time

DIGITS = 6
"""Significant digits of a number."""


def as_plain(report: Report) -> dict[str, Any]:
    """All of it but the curves of runs, as JSON types; times in UTC as ISO 8601. Names are those of the types."""
    return {
        "since": iso_time(report.since),
        "until": iso_time(report.until),
        "cluster": report.cluster,
        "totals": figures_row(report.totals),
        "groups": {
            by: [{"name": group.name, **figures_row(group.figures)} for group in groups]
            for by, groups in report.groups.items()
        },
        "timeline": _rounded(asdict(report.timeline))
        | {"starts": [iso_time(start) for start in report.timeline.starts]},
        "wasters": [_rounded(asdict(waster)) for waster in report.wasters],
        "runs": [_run(page) for page in report.runs],
        "sweeps": [_rounded(asdict(sweep)) for sweep in report.sweeps],
        "prices": asdict(report.prices) if report.prices else None,
        "notes": list(report.notes),
    }


def as_csv(report: Report, by: By) -> str:
    """A line for each group, with a header."""
    rows = [{by: group.name, **_flat(figures_row(group.figures))} for group in report.groups[by]]
    names = list(dict.fromkeys([by, *_flat(figures_row(report.totals)), *(name for row in rows for name in row)]))
    file = io.StringIO()
    writer = csv.DictWriter(file, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return file.getvalue()


def figures_row(figures: Figures) -> dict[str, Any]:
    """The figures with what follows from them, as JSON types."""
    hours, ettr = figures.gpu_hours, figures.ettr
    plain = asdict(figures)
    plain["gpu_hours"] |= {"wasted": hours.wasted}
    plain["ettr"] = {"value": ettr.value, **plain["ettr"]} if ettr else None
    follows = {name: getattr(figures, name) for name in ("goodput", "explained_share", "busy_share", "measured_share")}
    row: dict[str, Any] = _rounded(plain | follows)
    return row


def _run(page: RunPage) -> dict[str, Any]:
    plain = {name: value for name, value in asdict(page).items() if name not in ("curves", "resources")}
    for attempt in plain["attempts"]:
        attempt |= {"started": iso_time(attempt["started"]), "ended": iso_time(attempt["ended"])}
    times = {"created": iso_time(page.created), "figures": figures_row(page.figures)}
    row: dict[str, Any] = _rounded(plain) | times
    return row


def _flat(row: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested objects as columns such as ``gpu_hours.allocated``."""
    flat: dict[str, Any] = {}
    for name, value in row.items():
        flat |= _flat(value, f"{prefix}{name}.") if isinstance(value, dict) else {f"{prefix}{name}": value}
    return flat


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(name): _rounded(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(part) for part in value]
    return float(f"{value:.{DIGITS}g}") if isinstance(value, float) else value
