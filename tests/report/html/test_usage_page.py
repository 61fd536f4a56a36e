"""The whole page: in a browser what a reader does with it, and as text what is promised of the file."""

from __future__ import annotations

import dataclasses
import hashlib
import re
from datetime import timedelta
from importlib.resources import files
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from passingloop.report.html.usage_page import usage_page
from passingloop.report.usage.content import Advice, Report, Timeline
from passingloop.report.usage.usage_figures import Figures
from tests.report.html.conftest import OpenPage
from tests.report.html.made_report import SINCE, UNTIL, made_report

ROUTES = ("#overview", "#runs", "#run/8", "#run/5", "#sweeps", "#sweep/1")
"""Run 8 has five attempts and samples, run 5 has no samples."""

HOSTILE = "</script><script>document.title='taken'</script><img src=x onerror=alert(1)>&\u2028\"'"


def go_to(page: Page, route: str) -> None:
    """Show a view in an open page; its heading has the focus once it is there."""
    page.evaluate("() => document.activeElement.blur()")
    page.evaluate("(route) => { location.hash = route; }", route)
    expect(page.locator(".view.current h1")).to_be_focused()


def column(page: Page, table: str, number: int) -> list[str]:
    """The texts of a column's visible cells."""
    cells = page.locator(f"#{table} tbody tr:visible > :nth-child({number})")
    return [text.strip() for text in cells.all_inner_texts()]


@pytest.mark.process
def test_a_table_sorts_by_its_headings_with_mouse_and_keyboard(open_page: OpenPage) -> None:
    page = open_page()
    heads = page.locator("#by-user thead th")
    expect(heads.nth(1)).to_have_attribute("aria-sort", "descending")
    heads.nth(1).get_by_role("button").click()
    expect(heads.nth(1)).to_have_attribute("aria-sort", "ascending")
    hours = [float(text.replace(",", "")) for text in column(page, "by-user", 2)]
    assert hours == sorted(hours)
    heads.nth(0).get_by_role("button").focus()
    page.keyboard.press("Enter")
    expect(heads.nth(0)).to_have_attribute("aria-sort", "ascending")
    assert page.locator("#by-user th[aria-sort]").count() == 1
    names = column(page, "by-user", 1)
    assert names == sorted(names)
    assert len(names) == 12
    page.get_by_role("button", name="Show all 20").click()
    assert len(column(page, "by-user", 1)) == 20


@pytest.mark.process
def test_figures_that_are_not_known_come_last_in_either_order(open_page: OpenPage) -> None:
    page = open_page()
    page.get_by_role("button", name="Show all 20").click()
    for _ in range(2):
        page.locator("#by-user thead button", has_text="Busy").click()
        assert column(page, "by-user", 1)[-1] == "kofi"
        assert column(page, "by-user", 3)[-1] == "–"


@pytest.mark.process
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_colours_are_those_of_the_system_until_somebody_chooses(open_page: OpenPage, scheme: str) -> None:
    page = open_page(color_scheme=scheme)
    background = "getComputedStyle(document.documentElement).backgroundColor"
    dark = "rgb(21, 24, 27)"
    assert (page.evaluate(background) == dark) == (scheme == "dark")
    stroke = page.locator("#utilisation-chart svg text").first
    before = stroke.get_attribute("fill")
    page.get_by_text("Dark" if scheme == "light" else "Light", exact=True).click()
    assert (page.evaluate(background) == dark) == (scheme == "light")
    assert page.locator("#utilisation-chart svg text").first.get_attribute("fill") != before
    page.reload()
    page.wait_for_selector("html[data-ready]")
    assert (page.evaluate(background) == dark) == (scheme == "light")


@pytest.mark.process
def test_on_a_phone_the_page_does_not_scroll_sideways(open_page: OpenPage) -> None:
    page = open_page(width=360)
    for route in ROUTES:
        go_to(page, route)
        page.evaluate("document.querySelectorAll('details').forEach((each) => (each.open = true))")
        assert page.evaluate("document.documentElement.scrollWidth") == 360, route


@pytest.mark.process
@pytest.mark.parametrize("scheme", ["light", pytest.param("dark", marks=pytest.mark.slow)])
def test_axe_finds_nothing(open_page: OpenPage, tmp_path: Path, scheme: str) -> None:
    file = tmp_path / "few.html"
    file.write_text(usage_page(made_report(8)), encoding="utf-8")
    page = open_page(file=file, color_scheme=scheme)
    for route in ROUTES:
        go_to(page, route)
        found = Axe().run(page)
        assert found.response["passes"]
        assert found.violations_count == 0, f"{route}: {found.generate_report()}"


@pytest.mark.process
def test_the_keyboard_reaches_what_the_mouse_does(open_page: OpenPage) -> None:
    page = open_page("#run/8")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "content"
    assert page.url.endswith("#run/8")
    page.get_by_role("link", name="Runs").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1, name="Runs")).to_be_focused()
    expect(page.get_by_role("link", name="Runs")).to_have_attribute("aria-current", "page")
    page.get_by_role("link", name="Overview").focus()
    page.keyboard.press("Enter")
    page.get_by_role("tab", name="Users").focus()
    page.keyboard.press("ArrowRight")
    expect(page.get_by_role("tab", name="Accounts")).to_be_focused()
    expect(page.locator("#by-account")).to_be_visible()
    expect(page.locator("#by-user")).to_be_hidden()
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowLeft")
    expect(page.get_by_role("tab", name="Nodes")).to_be_focused()


@pytest.mark.process
def test_a_run_has_its_loss_with_interruptions_its_resources_and_its_attempts(open_page: OpenPage) -> None:
    page = open_page("#runs")
    page.get_by_label("Only runs with").fill("hiro support")
    expect(page.get_by_role("status")).to_have_text(re.compile(r"^\d of 40 runs$"))
    page.locator("#all-runs tbody tr:visible a").first.click()
    run = made_report().runs[7]
    expect(page.get_by_role("heading", level=1)).to_have_text(run.name)
    marks = page.locator("#run .chart").first.locator("svg text").all_text_contents()
    causes = [(part.cause or "").replace("_", " ") for part in run.attempts[:-1]]
    assert sorted(text for text in marks if text in causes) == sorted(causes)
    about = page.locator("#run .chart").first.get_attribute("aria-label") or ""
    assert "Loss over steps across 5 attempts. train/loss goes from" in about
    assert page.locator("#run .chart.tall svg path").count() > 20
    attempts = page.get_by_role("region", name="Attempts, the first one first").locator("tbody tr")
    assert attempts.count() == 5
    page.get_by_label("Logarithmic").check()
    page.go_back()
    expect(page.get_by_role("heading", level=1, name="Runs")).to_be_focused()


@pytest.mark.process
def test_why_a_run_was_interrupted_does_not_lie_over_the_name_of_the_axis(open_page: OpenPage, tmp_path: Path) -> None:
    report = made_report(8)
    run = report.runs[7]
    parts = tuple(dataclasses.replace(part, start_step=0, cause="preempted") for part in run.attempts[:2])
    early = dataclasses.replace(run, attempts=parts)
    (tmp_path / "early.html").write_text(usage_page(dataclasses.replace(report, runs=(early,))), encoding="utf-8")
    page = open_page("#run/1", file=tmp_path / "early.html")
    texts = page.locator("#run .chart").first.locator("svg text")
    name, cause = (texts.get_by_text(word, exact=True).first.bounding_box() for word in ("loss", "preempted"))
    assert name
    assert cause
    assert name["y"] + name["height"] <= cause["y"] or name["x"] + name["width"] <= cause["x"], (name, cause)


@pytest.mark.process
def test_axes_tell_small_numbers_apart(open_page: OpenPage) -> None:
    script = (files("passingloop.report.html") / "assets" / "charts.js").read_text(encoding="utf-8")
    function = re.search(r"function shortText.*?\n}", script, re.DOTALL)
    assert function is not None
    ticks = open_page().evaluate(
        f"(() => {{ {function[0]} return [5e-5, 1e-4, 1.5e-4, 2e-4, 3 * 1e-5, 0.25].map(shortText) }})()"
    )
    assert ticks == ["5e-5", "1e-4", "1.5e-4", "2e-4", "3e-5", "0.25"]


@pytest.mark.process
def test_a_sweep_has_lines_the_best_first_and_chosen_runs(open_page: OpenPage) -> None:
    page = open_page("#sweep/1")
    scores = [text for text in column(page, "sweep-1-runs", 6) if text != "–"]
    assert scores == sorted(scores, reverse=True)
    expect(page.locator(".view.current .lead")).to_contain_text(
        f"has the best test/accuracy, {scores[0]}, with optim.lr="
    )
    box = page.locator("#sweep-1-chart").bounding_box()
    assert box
    every = len(column(page, "sweep-1-runs", 1))
    x = box["x"] + box["width"] - 80  # the last axis: what lies in its upper half
    page.mouse.move(x, box["y"] + 60)
    page.mouse.down()
    page.mouse.move(x, box["y"] + 110, steps=4)
    page.mouse.up()
    expect(page.locator("#sweep-1-runs tbody tr.outside").first).to_be_hidden()
    assert 0 < len(column(page, "sweep-1-runs", 1)) < every


@pytest.mark.process
def test_on_paper_it_is_light_and_charts_fit(open_page: OpenPage) -> None:
    page = open_page(color_scheme="dark")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    page.emulate_media(media="print")
    assert page.evaluate("getComputedStyle(document.documentElement).backgroundColor") == "rgb(253, 253, 251)"
    widest = page.evaluate("Math.max(...[...document.querySelectorAll('.chart svg')].map((each) => each.clientWidth))")
    assert 0 < widest <= 680
    expect(page.locator("#by-node")).to_be_visible()
    page.emulate_media(media="screen")
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert page.evaluate("getComputedStyle(document.documentElement).backgroundColor") == "rgb(21, 24, 27)"


@pytest.mark.process
def test_without_scripts_the_figures_can_be_read(open_page: OpenPage) -> None:
    page = open_page(java_script_enabled=False)
    for table in ("uses", "by-user", "by-node", "all-runs", "sweep-1-runs"):
        expect(page.locator(f"#{table}")).to_be_visible()
    expect(page.locator(".chart").first).to_be_hidden()


@pytest.mark.process
def test_no_text_becomes_markup_or_a_script(open_page: OpenPage, tmp_path: Path) -> None:
    file = tmp_path / "hostile.html"
    file.write_text(usage_page(hostile(made_report(8))), encoding="utf-8")
    page = open_page("#run/1", file=file)
    expect(page.get_by_role("heading", level=1)).to_contain_text("onerror=alert(1)>")
    page.get_by_role("link", name="Overview").click()
    for route in ("#runs", "#sweep/1"):
        go_to(page, route)
    assert page.locator("img").count() == 0
    assert not page.title().startswith("taken")


def hostile(report: Report) -> Report:
    """The report with names and advice that try to leave their place."""
    name = report.runs[0].name
    bad = f"{HOSTILE}/1"
    run = dataclasses.replace(
        report.runs[0], name=bad, settings={HOSTILE: HOSTILE}, advice=(Advice(rule="x", sentence=HOSTILE),)
    )
    sweep = report.sweeps[0]
    points = tuple(dataclasses.replace(p, run=bad if p.run == name else p.run) for p in sweep.points)
    return dataclasses.replace(
        report,
        cluster=HOSTILE,
        notes=(HOSTILE,),
        runs=(run, *report.runs[1:]),
        sweeps=(dataclasses.replace(sweep, name=HOSTILE, points=points),),
        groups={by: (dataclasses.replace(g[0], name=HOSTILE), *g[1:]) for by, g in report.groups.items()},
        timeline=dataclasses.replace(report.timeline, gpus={HOSTILE: report.timeline.gpus["production"]}),
    )


@pytest.mark.process
def test_nothing_to_show(open_page: OpenPage, tmp_path: Path) -> None:
    """A period in which no job and no run was there."""
    empty = Report(
        since=SINCE,
        until=UNTIL,
        cluster=None,
        totals=Figures(),
        groups={},
        timeline=Timeline(seconds=3600.0, starts=(), gpus={}, busy=(), waits=(), waiting=()),
        wasters=(),
        runs=(),
        sweeps=(),
        prices=None,
        notes=(),
    )
    file = tmp_path / "empty.html"
    file.write_text(usage_page(empty), encoding="utf-8")
    page = open_page("#run/1", file=file)
    expect(page.locator("#run-content")).to_have_text("This report has no such run.")
    page.get_by_role("link", name="Overview").click()
    expect(page.locator("#overview .lead")).to_contain_text("no job held a GPU")
    page.get_by_role("link", name="Runs").click()
    expect(page.locator("#runs")).to_contain_text("No run held resources in this period.")


def test_nothing_may_be_loaded_and_no_other_script_may_run() -> None:
    page = usage_page(made_report(2))
    [policy] = re.findall(r'http-equiv="Content-Security-Policy" content="([^"]*)"', page)
    assert "default-src &#x27;none&#x27;" in policy
    assert "unsafe" not in policy
    assert re.findall(r'(?:src|href)="(?!#|data:image/svg)[^"]*"', page) == []


def test_advice_is_a_sentence_on_the_page() -> None:
    assert "<li>Asked for 8 CPUs, used 1.1: resources.cpus=2 would do.</li>" in usage_page(made_report(8))


def test_the_same_report_gives_the_same_file() -> None:
    assert usage_page(made_report(3)) == usage_page(made_report(3))


def test_times_are_those_of_the_place() -> None:
    page = usage_page(made_report(1), timedelta(hours=5, minutes=30))
    assert "Times are UTC+05:30." in page
    assert "newest figures of 2026-11-30 05:30" in page


def test_the_charts_library_is_the_one_that_was_built_and_brings_its_licences() -> None:
    vendored = files("passingloop.report.html") / "vendored"
    library = (vendored / "echarts.js").read_bytes()
    assert (vendored / "echarts.js.sha256").read_text() == f"{hashlib.sha256(library).hexdigest()}  echarts.js\n"
    for words in (b"Apache License", b"Copyright 2017-2026 The Apache Software Foundation", b"Baidu", b"Mike Bostock"):
        assert words in library


def test_a_name_that_is_no_unicode_does_not_prevent_the_page() -> None:
    report = made_report(2)
    runs = tuple(dataclasses.replace(run, name="a\udcff/0123", settings={"task": "\ud800"}) for run in report.runs)
    assert "a?/0123" in usage_page(dataclasses.replace(report, runs=runs)).encode().decode()
