import math
from dataclasses import replace
from typing import Any

from passingloop.report.html.overview import searches
from passingloop.report.html.sweep_views import best, ranked, sweep_data, sweeps_view, target
from passingloop.report.usage.content import Sweep, SweepPoint
from tests.report.html.made_report import made_report


def point(run: str, overrides: dict[str, Any], is_complete: bool = True, **metrics: float) -> SweepPoint:
    named = {key.replace("_", "/", 1): value for key, value in metrics.items()}
    return SweepPoint(run=run, overrides=overrides, metrics=named, is_complete=is_complete, gpu_hours=1.0)


def sweep(*points: SweepPoint, parameters: tuple[str, ...] = ("lr",)) -> Sweep:
    metrics = tuple(dict.fromkeys(metric for each in points for metric in each.metrics))
    return Sweep(name="s", parameters=parameters, metrics=metrics, points=points)


def test_a_loss_is_best_where_it_is_least_and_what_is_unfinished_comes_last() -> None:
    made = sweep(
        point("a", {"lr": 1}, test_loss=0.5),
        point("b", {"lr": 2}),
        point("c", {"lr": 3}, test_loss=0.2),
        point("d", {"lr": 4}, test_loss=math.nan),
    )
    assert target(made) == "test/loss"
    assert [each.run for each in ranked(made)] == ["c", "a", "b", "d"]


def test_an_unfinished_run_is_not_the_best_unless_none_is_finished() -> None:
    early = point("early", {"lr": 1}, is_complete=False, test_accuracy=0.99)
    done = point("done", {"lr": 2}, test_accuracy=0.9)
    for made, name in ((sweep(early, done), "done"), (sweep(early), "early")):
        found = best(made)
        assert found
        assert found.run == name
    assert best(sweep(point("none", {"lr": 1}))) is None


def test_no_run_is_called_the_best_of_those_that_are_alike() -> None:
    points = [point(f"r{n}", {"lr": n}, test_accuracy=0.15 if n else 0.1) for n in range(8)]
    unfinished = point("early", {"lr": 9}, is_complete=False, test_accuracy=0.15)
    lead = sweeps_view([sweep(*points[:3], unfinished)], {})
    assert "Of 4 runs, 2 have the same and best test/accuracy, <strong>0.15</strong>: r1, r2." in lead
    assert "r4, r5 and 2 more." in sweeps_view([sweep(*points)], {})
    assert "r1 has the best test/accuracy, <strong>0.15</strong>, with lr=1." in sweeps_view([sweep(*points[:2])], {})


def test_rungs_stand_in_the_overview_with_a_link_and_on_the_page_of_the_sweep() -> None:
    report = made_report(40)
    assert [bool(each.rungs) for each in report.sweeps] == [True, False, False][: len(report.sweeps)]
    told = " → ".join(str(rung.told) for rung in report.sweeps[0].rungs)
    section = str(searches(report))
    assert f">{told}</td>" in section
    assert f'href="#sweep/1">{report.sweeps[0].name}</a>' in section
    assert "validation/loss" in section
    assert str(sweeps_view(report.sweeps, {})).count("Points at each rung") == 1
    assert searches(replace(report, sweeps=report.sweeps[1:])) is None


def test_axes_of_the_chart() -> None:
    """Few values have a place each, as they are typed; many numbers a scale, logarithmic if they span much."""
    points = [
        point(f"r{n}", {"lr": 10.0**-n, "rank": 2**n, "drop": n / 20, "name": "b" if n % 2 else "a", "x": None})
        for n in range(9)
    ]
    [data] = sweep_data([sweep(*points, parameters=("lr", "rank", "drop", "name", "x"))], {})
    assert [axis["kind"] for axis in data["axes"]] == ["log", "log", "value", "category", "category"]
    assert data["axes"][0]["ends"] == [1e-8, 1.0]
    assert data["axes"][3]["values"] == ["a", "b"]
    [few] = sweep_data([sweep(*points[3:6], parameters=("lr", "rank"))], {})
    assert [axis["values"] for axis in few["axes"]] == [["1e-5", "1e-4", "0.001"], ["8", "16", "32"]]
    assert few["rows"][0] == ["0.001", "8"]
    assert few["best"] is None
