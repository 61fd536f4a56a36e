"""The page of a simulation: in a browser what a reader sees and does, and as text what is promised of the file."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from playwright.sync_api import expect

from passingloop.report.html.simulation_page import OTHERS, SERIES, chart_data, qos_names, simulation_page
from passingloop.report.simulation.policy_figures import Simulation
from passingloop.simulation.policy_trial import trial
from tests.policy.made import policy
from tests.report.html.accessibility import check_on_a_phone
from tests.report.html.conftest import OpenPage
from tests.simulation.made_outcomes import outcome, replay
from tests.simulation.made_replays import made_simulation

HOSTILE = "</script><script>document.title='taken'</script><img src=x onerror=alert(1)>&\u2028\"'"


@pytest.fixture(scope="module")
def simulation(tmp_path_factory: pytest.TempPathFactory) -> Simulation:
    return made_simulation(tmp_path_factory.mktemp("simulation"))


@pytest.fixture
def file(tmp_path: Path, simulation: Simulation) -> Path:
    path = tmp_path / "simulation.html"
    path.write_text(simulation_page(simulation), encoding="utf-8")
    return path


@pytest.mark.process
def test_the_verdict_comes_first_and_the_charts_are_drawn(open_page: OpenPage, file: Path) -> None:
    page = open_page(file=file)
    expect(page.locator(".lead")).to_contain_text("Refused: 3 of 6 objectives are missed.")
    verdicts = page.locator("#objective-table tbody tr > :nth-child(2)").all_inner_texts()
    assert verdicts == ["missed", "met", "met", "met", "missed", "missed"]
    for chart in ("held-chart-0", "held-chart-1", "waiting-chart", "curves-chart"):
        assert page.locator(f"#{chart} svg path").count() > 5, chart
    page.get_by_role("tab", name="By account").click()
    expect(page.locator("#account-table")).to_be_visible()
    expect(page.locator("#qos-table")).to_be_hidden()
    policies = page.locator("#account-table tbody tr > :nth-child(2)").all_inner_texts()
    assert policies == ["policy.yaml", "fifo.yaml"] * 3


@pytest.mark.process
@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_and_a_phone_scrolls_no_page(open_page: OpenPage, file: Path, scheme: str) -> None:
    check_on_a_phone(open_page(file=file, width=360, color_scheme=scheme))


def test_no_name_becomes_markup(simulation: Simulation) -> None:
    """Neither in the page nor in its data."""
    taken = dataclasses.replace(simulation, trace=HOSTILE, left_out=(HOSTILE,))
    page = simulation_page(taken)
    assert "<img" not in page
    assert page.count("</script><script>document") == 0
    assert "&lt;img src=x" in page


def test_one_policy_alone(tmp_path: Path) -> None:
    alone = simulation_page(trial(policy(tmp_path, "accounts:\n  vision: {}\n"), replay([outcome((60, 3600))])))
    assert 'id="held-chart-0"' in alone
    assert 'id="held-chart-1"' not in alone
    assert 'id="objectives"' not in alone
    assert "Refused" not in alone


def test_the_smallest_of_many_qos_are_one_series(tmp_path: Path) -> None:
    many = [outcome((0, 3600), gpus=8 - number, qos=f"q{number}") for number in range(8)]
    found = trial(policy(tmp_path, "accounts:\n  vision: {}\n"), replay(many, gpus=64))
    names = qos_names(found)
    assert (len(names), names[-1]) == (SERIES, OTHERS)
    held = chart_data(found, names)["policies"][0]["held"]
    assert list(held) == ["q0", "q1", "q2", "q3", "q4", OTHERS]
    assert held[OTHERS][0] == pytest.approx(3 + 2 + 1)
