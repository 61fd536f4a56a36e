"""A sweep as JSON: the same keys for every sweep, null for what is not known."""

from __future__ import annotations

from typing import Any

from passingloop.report.search.search_content import Rung, SearchPoint, SearchProgress
from passingloop.track.metrics_file import json_value


def as_plain(progress: SearchProgress) -> dict[str, Any]:
    """What ``passingloop sweep --json`` prints: rungs from the lowest, points from the best."""
    cost = progress.cost
    return {
        "name": progress.name,
        "search": progress.kind,
        "metric": progress.metric,
        "lower_is_better": progress.lower_is_better,
        "eta": progress.eta,
        "max_points": progress.max_points,
        "over": progress.is_over,
        "stands_still": progress.stands_still,
        "best": progress.best.run if progress.best else None,
        "rungs": [_rung(rung) for rung in progress.rungs],
        "points": [_point(point) for point in progress.points],
        "waits": list(progress.waits),
        "hours": cost.hours,
        "gpu_hours": cost.gpu_hours,
        "full_hours": cost.full_hours,
        "full_gpu_hours": cost.full_gpu_hours,
        "share": cost.share,
    }


def _rung(rung: Rung) -> dict[str, Any]:
    return {
        "rung": rung.number,
        "fraction": rung.fraction,
        "step": rung.step,
        "points": rung.told,
        "done": len(rung.values),
        "went_on": rung.went_on,
        "train": rung.counts.get("trains", 0),
        "wait": rung.counts.get("waits", 0),
        "stopped": rung.counts.get("stopped", 0),
        "failed": rung.failed,
        "best": rung.best,
    }


def _point(point: SearchPoint) -> dict[str, Any]:
    return {
        "run": point.run,
        "settings": dict(point.settings),
        "rung": point.rung,
        "values": [{"rung": rung, "value": json_value(value)} for rung, value in sorted(point.values.items())],
        "state": "failed" if point.has_failed else point.standing,
        "message": point.message,
        "step": point.step,
        "hours": point.hours,
        "gpu_hours": point.gpu_hours,
    }
