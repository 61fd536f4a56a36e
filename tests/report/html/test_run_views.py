import base64
import dataclasses
import gzip
import json
from datetime import timedelta
from typing import Any

import pytest

from passingloop.report.html import run_views
from passingloop.report.html.run_views import points_per_curve, run_data, run_links
from passingloop.report.usage.content import ResourceCurve, RunPage
from tests.report.html.made_report import PRICES, made_report


def pages(*runs: RunPage) -> list[dict[str, Any]]:
    parts = run_data(runs, PRICES, timedelta())["parts"]
    return [page for part in parts for page in json.loads(gzip.decompress(base64.b64decode(part)))]


def test_a_page_has_the_curve_as_differences_and_the_attempts_in_both_units() -> None:
    run = made_report(8).runs[7]
    [page] = pages(run)
    loss = page["losses"][0]
    assert loss["name"] == "train/loss"
    assert tuple(sum(loss["x"][: index + 1]) for index in range(len(loss["x"]))) == run.curves[0].steps
    assert [mark["first"] for mark in page["marks"]] == [part.start_step for part in run.attempts]
    assert page["marks"][0]["from"] == 0
    assert page["marks"][1]["from"] == round(run.attempts[1].started - run.attempts[0].started)


def test_breaks_between_attempts_stay_when_a_curve_is_thinned() -> None:
    values = (0.5,) * 50 + (None,) + (0.7,) * 50
    curve = ResourceCurve(name="gpu_busy", times=tuple(float(n) for n in range(101)), values=values)
    run = dataclasses.replace(made_report(1).runs[0], resources=(curve,))
    packed = run_views._resource(run.resources[0], 0.0, 10)
    assert len(packed["y"]) == 11
    assert packed["y"].count(None) == 1
    assert packed["y"][0] == 50


def test_what_cannot_be_known_of_an_attempt_is_absent() -> None:
    run = made_report(8).runs[3]
    part = dataclasses.replace(run.attempts[-1], gpus=None, job_id=None, nodes=(), seconds={}, cause=None, ended=None)
    [page] = pages(dataclasses.replace(run, attempts=(part,), state="running"))
    assert page["attempts"][0][2] == "still running"
    assert page["attempts"][0][5:] == ["running", "–", "–", "–", "–"]


def test_curves_are_thinned_only_where_runs_are_many() -> None:
    assert points_per_curve(100) == 8_571
    assert points_per_curve(13_000) == 65
    assert points_per_curve(1_000_000) == 24


def test_runs_are_packed_in_parts() -> None:
    report = made_report(8)
    assert [page["name"] for page in pages(*report.runs * 8)] == [run.name for run in report.runs * 8]
    assert len(run_data(report.runs * 8, None, timedelta())["parts"]) == 2


def test_of_many_runs_those_with_most_gpu_hours_have_a_page(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_views, "MAX_RUNS", 3)
    report = made_report(8)
    shown = run_views.shown_runs(report)
    assert len(shown) == 3
    assert [run.created for run in shown] == sorted((run.created for run in shown), reverse=True)
    left = [run.figures.gpu_hours.allocated for run in report.runs if run not in shown]
    assert max(left) <= min(run.figures.gpu_hours.allocated for run in shown)


def test_two_runs_of_the_same_name_have_pages_of_their_own() -> None:
    run = made_report(1).runs[0]
    assert run_links([run, run]) == {run.name: "run/1"}
    assert len(pages(run, run)) == 2
