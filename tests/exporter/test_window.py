from __future__ import annotations

from pathlib import Path
from typing import Any

from passingloop.exporter.window import use_of
from passingloop.report.usage.allocation_use import Allocation
from passingloop.usage.usage_report import Request

REQUEST = Request(since=0.0, until=86_400.0, run_root=Path("runs"))


def held(started: float, **fields: Any) -> Allocation:
    """A GPU for an hour, after a wait of a minute."""
    times = {"eligible": started - 60, "started": started, "ended": started + 3600}
    return Allocation(**{"job_id": "1", "name": "a", "user": "ada", "gpus": 1.0, **times, **fields})


def test_figures_and_waits_by_qos() -> None:
    use = use_of([held(100, qos="production"), held(9000, qos="production", is_cut=True), held(200)], REQUEST, {})
    assert use.labels == ("qos",)
    assert {key: of.gpu_hours.allocated for key, of in use.figures.items()} == {("production",): 2.0, ("",): 1.0}
    assert use.waits == {("production",): [60.0], ("",): [60.0]}  # that of the cut one belongs to another window
    assert (use.since, use.until, use.currency) == (0.0, 86_400.0, None)


def test_more_labels() -> None:
    use = use_of([held(0, qos="q", account="team-a"), held(0, qos="q", user="bob")], REQUEST, {}, ["account", "user"])
    assert set(use.figures) == {("q", "team-a", "ada"), ("q", "", "bob")}
