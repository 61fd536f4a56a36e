"""The JSON of a simulation."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from passingloop.policy.entities import Policy
from passingloop.report.simulation.simulation_json import as_json
from passingloop.simulation.policy_trial import trial
from tests.conftest import ROOT
from tests.simulation.made_outcomes import outcome, replay
from tests.simulation.made_replays import made_simulation


def test_all_figures_with_the_differences_and_the_verdict(tmp_path: Path) -> None:
    simulation = made_simulation(tmp_path)
    found = json.loads(json.dumps(as_json(simulation), allow_nan=False))
    own, other = found["policy"], found["against"]
    assert (own["file"], other["file"]) == ("policy.yaml", "fifo.yaml")
    for name in ("utilisation", "interactive.wait_p95", "accounts.vision.share"):
        change = own["named"][name]["value"] - other["named"][name]["value"]
        assert found["differences"][name] == pytest.approx(change)
    assert own["named"]["interactive.wait_p95"]["unit"] == "seconds"
    assert own["totals"]["waits"]["soon"].keys() == {"60", "600", "3600"}
    assert [one["is_met"] for one in found["objectives"]] == [False, True, True, True, False, False]
    assert found["accepted"] is False
    assert len(own["held"]["by_qos"]["production"]) == len(own["held"]["starts"])


def test_a_wait_that_had_not_ended_is_in_no_difference() -> None:
    starved, quick = replay([outcome(reason="Priority")]), replay([outcome((0, 3600))])
    found = as_json(trial(Policy(file="policy.yaml"), starved, quick))
    assert found["policy"]["named"]["wait_p95"] == {"value": 3600, "unit": "seconds", "has_ended": False}
    assert "wait_p95" not in found["differences"]
    assert found["differences"]["never_started"] == 1


def test_without_another_policy(tmp_path: Path) -> None:
    alone = as_json(made_simulation(tmp_path, against=False))
    assert (alone["against"], alone["differences"]) == (None, {})
    assert [one["is_met"] for one in alone["objectives"]] == [False, None, True, True, False, False]


def test_every_key_is_documented(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "reference" / "simulation.md").read_text(encoding="utf-8")
    found = as_json(made_simulation(tmp_path))
    policy = found["policy"]
    parts = [found, policy, policy["totals"], policy["totals"]["waits"], policy["held"], policy["cost"]]
    parts += [policy["shares"][0], policy["never_started"][0], found["objectives"][0], policy["named"]["jain"]]
    of_rows = {"account", "reason"}
    missing = {key for part in parts for key in part if f"`{key}`" not in page} - of_rows
    assert not missing
