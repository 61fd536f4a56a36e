"""The page of a sweep: in a browser what a reader sees and does, and as text what is promised of the file."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from playwright.sync_api import expect

from passingloop.report.html.search_page import chart_data, search_page
from passingloop.report.search.search_content import SearchProgress
from tests.report.html.accessibility import check_on_a_phone
from tests.report.html.conftest import OpenPage
from tests.report.search.made_search import made_point, made_search

HOSTILE = "</script><script>document.title='taken'</script><img src=x onerror=alert(1)>&\u2028\"'"


def made(**fields: object) -> SearchProgress:
    points = [made_point(f"p{number}", 0.5 + number, lr=1e-5 * (number + 1)) for number in range(3, 9)]
    points += [made_point("p1", 0.51, 0.41, lr=1e-5), made_point("p2", 0.52, 0.45, lr=2e-5)]
    points += [made_point("p0", 0.5, 0.4, 0.3, lr=3e-5), made_point("bad", None, lr=1.0)]
    return made_search(*points, **fields)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "sweep.html"
    path.write_text(search_page(made()), encoding="utf-8")
    return path


@pytest.mark.process
@pytest.mark.slow
def test_charts_are_drawn_and_points_are_chosen_by_an_axis(open_page: OpenPage, file: Path) -> None:
    page = open_page(file=file)
    expect(page.locator(".lead")).to_contain_text("Best so far: lr/p0 with optim.lr=3e-5")
    for chart in ("rungs-chart", "sweep-1-chart"):
        assert page.locator(f"#{chart} svg path").count() > 5, chart
    first = page.locator("#sweep-1-runs tbody tr").first
    expect(first).to_contain_text("complete")
    page.locator("#sweep-1-runs thead th").nth(1).get_by_role("button").click()
    expect(page.locator("#sweep-1-runs tbody tr").first).to_contain_text("lr/bad")


@pytest.mark.process
@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_and_a_phone_scrolls_no_page(open_page: OpenPage, file: Path, scheme: str) -> None:
    check_on_a_phone(open_page(file=file, width=360, color_scheme=scheme))


def test_the_lines_of_the_chart_are_the_points_with_a_value_the_best_on_top() -> None:
    data = chart_data(made())
    assert [line["run"] for line in data["lines"]][-3:] == ["lr/p2", "lr/p1", "lr/p0"]
    assert data["lines"][-1] == {"run": "lr/p0", "values": [0.5, 0.4, 0.3], "best": True, "whole": True}
    assert data["lines"][-2]["values"] == [0.51, 0.41, None]
    assert "lr/bad" not in [line["run"] for line in data["lines"]]


def test_texts_of_runs_are_never_html() -> None:
    point = replace(made_point("a", 0.5), run=HOSTILE, settings={HOSTILE: HOSTILE}, message=HOSTILE)
    page = search_page(made_search(point, name=HOSTILE, parameters=(HOSTILE,), waits=(HOSTILE,)))
    assert "<img" not in page
    assert "<script>document.title" not in page


def test_a_sweep_of_which_nothing_has_begun() -> None:
    page = search_page(made_search(made_point("a"), made_point("b")))
    assert "No point has a value yet." in page
