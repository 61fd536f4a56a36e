"""Objectives in policy files, right and wrong."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from passingloop.errors import ConfigError
from passingloop.policy.entities import Policy, desired
from passingloop.policy.objectives.objective import MEASURES, Objective
from passingloop.policy.policy_file import read_policy_file
from tests.conftest import ROOT
from tests.policy.made import state

REST = "qos:\n  interactive: {}\n  a.b: {}\naccounts:\n  vision: {}\n  lab.x: {}\n"

RIGHT = {
    "interactive.wait_p95: 60s": (60.0, False, True),
    "wait_median: 1.5 h": (5400.0, False, True),
    "a.b.wait_p99: 0:10:00": (600.0, False, True),
    "accounts.lab.x.share: 80%": (0.8, False, False),
    "utilisation: 0.9": (0.9, False, False),
    "utilisation: against": (0.0, True, False),
    "utilisation: against - 1 %": (-0.01, True, False),
    "interactive.wait_p95: against + 30s": (30.0, True, True),
    "never_started: 3": (3.0, False, True),
    "jain: 0.9": (0.9, False, False),
}

WRONG = {
    "interactive.wait_medium: 60s": "there is no objective `interactive.wait_medium`: there is no figure "
    "`wait_medium`. Did you mean `wait_median`?",
    "interactiv.wait_p95: 60s": "there is no objective `interactiv.wait_p95`: there is no QOS `interactiv`. Did you "
    "mean `interactive`?",
    "accounts.visions.share: 0.5": "there is no account `visions`. Did you mean `vision`?",
    "interactive.jain: 0.9": "there is no objective `interactive.jain`. Write `jain`.",
    "share: 0.9": "there is no objective `share`. Write `accounts.NAME.share`.",
    "wait_p95: 60": "objectives.wait_p95 is 60: it is no time. Write a number with s, min, h or d, such as 60s",
    "wait_p95: against + 60": "it is no time",
    "utilisation: high": "objectives.utilisation is high: it is no share. Write a number from 0 to 1, such as 0.95, or "
    "95%. `against` is the figure of the other policy.",
    "utilisation: 95": "it is more than 1. Write 95% if per cent are meant.",
    "never_started: 1.5": "it is no whole number",
    "utilisation:": "objectives.utilisation has no value",
    "utilisation: [1, 2]": "objectives.utilisation is a list, but a single value is wanted",
}


def read(folder: Path, text: str) -> Policy:
    file = folder / "policy.yaml"
    file.write_text(text, encoding="utf-8")
    return read_policy_file(file)


@pytest.mark.parametrize("line", RIGHT)
def test_an_objective(tmp_path: Path, line: str) -> None:
    found = read(tmp_path, f"{REST}objectives:\n  {line}\n")
    (objective,) = found.objectives
    key, _, written = line.partition(": ")
    limit, is_beside, is_most = RIGHT[line]
    assert objective == Objective(key, written, objective.measure, pytest.approx(limit), is_beside)
    assert objective.measure.is_most == is_most
    assert found.place("objectives", key).endswith("policy.yaml:8")


@pytest.mark.parametrize("line", WRONG)
def test_a_wrong_one_is_reported_with_its_line_and_what_was_meant(tmp_path: Path, line: str) -> None:
    with pytest.raises(ConfigError) as error:
        read(tmp_path, f"{REST}objectives:\n  jain: 0.9\n  {line}\n")
    assert "policy.yaml:9: " in str(error.value)
    assert WRONG[line] in str(error.value)


def test_names_are_free_where_the_file_does_not_say_which_there_are(tmp_path: Path) -> None:
    found = read(tmp_path, "objectives:\n  fast.wait_p95: 60s\n  accounts.robots.share: 0.9\n")
    assert [one.key for one in found.objectives] == ["fast.wait_p95", "accounts.robots.share"]


def test_objectives_change_nothing_on_the_cluster(tmp_path: Path) -> None:
    there = state()
    assert desired(read(tmp_path, "objectives:\n  jain: 0.9\n"), there) == there


def test_the_documented_objectives_can_be_read_and_all_figures_are_documented(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "how-to" / "try-a-policy.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"```yaml\n(objectives:.*?)```", page, re.DOTALL)
    assert len(read(tmp_path, block).objectives) == 6
    table = page.partition("| figure | of | the policy is to have |")[2]
    assert [name for name in MEASURES if f"`{name}`" not in table] == []


def test_the_recommended_policy_states_the_objectives_that_it_is_made_for() -> None:
    found = {one.key: one for one in read_policy_file(ROOT / "slurm" / "policy.yaml").objectives}
    assert found["interactive.wait_p95"].limit == 60
    assert found["utilisation"].is_beside
    assert (found["jain"].limit, found["lost_share"].limit) == (0.9, 0.01)
