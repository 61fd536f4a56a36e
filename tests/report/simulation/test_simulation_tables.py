"""What the terminal shows of a simulation."""

from __future__ import annotations

import dataclasses
import re

import pytest

from passingloop.policy.entities import Policy
from passingloop.report.simulation.figure_words import wait
from passingloop.report.simulation.policy_figures import SavingFigure, Simulation
from passingloop.report.simulation.simulation_tables import page
from passingloop.simulation.policy_trial import trial
from tests.simulation.made_outcomes import outcome, replay
from tests.simulation.made_replays import made_simulation


@pytest.fixture(scope="module")
def simulation(tmp_path_factory: pytest.TempPathFactory) -> Simulation:
    return made_simulation(tmp_path_factory.mktemp("simulation"))


def row(lines: list[str], beginning: str) -> list[str]:
    """The cells of the line that begins so."""
    (line,) = (line for line in lines if line.startswith(beginning))
    return re.split(r" {2,}", line)


def test_policies_stand_beside_each_other_with_the_difference(simulation: Simulation) -> None:
    lines = list(page(simulation, 120, colour=False))
    assert lines[0] == "policy.yaml beside fifo.yaml"
    groups = [one.group("qos", "interactive") for one in (simulation.figures, simulation.against) if one]
    waits = [wait(group.waits.p95) for group in groups if group and group.waits]
    assert row(lines, "wait of interactive, 95 %")[1:3] == waits
    assert row(lines, "wait of interactive, 95 %")[3].startswith("-")
    assert row(lines, "jobs that never started") == ["jobs that never started", "1", "1", "same"]
    assert row(lines, "cost, on-premises")[3].endswith(" EUR")
    interactive = next(number for number, line in enumerate(lines) if line.startswith("interactive "))
    assert lines[interactive + 1].startswith("  fifo.yaml")
    assert len([line for line in lines if line.startswith("  fifo.yaml")]) == 3 + 3 + 6
    assert row(lines, "robots    25.0 %")[3].endswith("of the time")
    never = [re.split(r" {2,}", line)[1] for line in lines if line.startswith("Resources")]
    assert never == ["policy.yaml", "fifo.yaml"]


def test_the_verdict_comes_last(simulation: Simulation) -> None:
    lines = list(page(simulation, 120, colour=False))
    assert [line.split()[0] for line in lines[-6:]] == ["missed", "met", "met", "met", "missed", "missed"]
    assert lines[-7] == "objectives"


def test_the_header_says_where_the_figures_of_saving_come_from(simulation: Simulation) -> None:
    assert not [line for line in page(simulation, 120, colour=False) if line.startswith("saving")]
    figure = SavingFigure(name="restart_s", seconds=14.3, source="drill.json")
    lines = list(page(dataclasses.replace(simulation, saving=(figure,)), 120, colour=False))
    assert lines[4] == "saving     14 s to start again (drill.json)"


def test_colour_changes_no_word(simulation: Simulation) -> None:
    coloured = list(page(simulation, 120, colour=True))
    assert any("\x1b[31mmissed" in line for line in coloured)
    plain = [re.sub(r"\x1b\[\d+m", "", line) for line in coloured]
    assert plain == list(page(simulation, 120, colour=False))


def test_one_policy_alone_has_no_column_for_another() -> None:
    alone = trial(Policy(file="policy.yaml"), replay([outcome((60, 3600), gpus=8, account="a\x1b[2J")]))
    lines = list(page(alone, 80, colour=False))
    assert row(lines, "wait, median") == ["wait, median", "1 min"]
    assert not any("difference" in line or "objectives" in line for line in lines)
    assert not any("\x1b" in line for line in lines)


def test_many_groups_are_counted() -> None:
    many = replay([outcome((0, 60), account=f"team-{number:02}") for number in range(25)])
    lines = list(page(trial(Policy(file="policy.yaml"), many), 80, colour=False))
    assert "and 5 more" in lines


def test_what_was_left_out_is_said(simulation: Simulation) -> None:
    said = dataclasses.replace(simulation, left_out=("12 jobs of less than 30 s were merged. " * 4,))
    lines = list(page(said, 70, colour=False))
    (number,) = (number for number, line in enumerate(lines) if line.startswith("left out"))
    assert lines[number + 1].startswith(" " * 11)
    assert max(map(len, lines[: number + 3])) <= 70


def test_how_full_the_cluster_was_over_time() -> None:
    half = replay([outcome((0, 1800), gpus=8), outcome((1800, 3600), gpus=4)])
    for width, column, count in ((80, "1 min", 30), (60, "2 min", 15)):
        lines = list(page(trial(Policy(file="policy.yaml"), half), width, colour=False))
        number = lines.index(f"GPUs held over time, a column for {column}")
        assert lines[number + 1] == f"policy.yaml  {'█' * count}{'▄' * count}"
