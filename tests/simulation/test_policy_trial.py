"""Exit codes of a verdict, and whose shares count."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from passingloop.policy.policy_file import read_policy_file
from passingloop.simulation.policy_trial import trial, verdict_code
from tests.simulation.made_outcomes import outcome, replay

QUICK = replay([outcome((10, 3600), gpus=4, account="a", qos=""), outcome((0, 3600), gpus=4, account="b")])


@pytest.mark.parametrize(
    ("objectives", "code"),
    [("", 0), ("objectives: {wait_p95: 60s}", 0), ("objectives: {wait_p95: 5s, utilisation: 1%}", 1)],
)
def test_a_missed_objective_refuses_the_policy(tmp_path: Path, objectives: str, code: int) -> None:
    file = tmp_path / "policy.yaml"
    file.write_text(f"accounts:\n  a: {{shares: 3}}\n  b: {{}}\n{objectives}\n", encoding="utf-8")
    assert verdict_code(trial(read_policy_file(file), QUICK)) == code


def test_what_cannot_be_judged_refuses_nothing(tmp_path: Path) -> None:
    file = tmp_path / "policy.yaml"
    file.write_text("objectives: {utilisation: against}\n", encoding="utf-8")
    assert verdict_code(trial(read_policy_file(file), QUICK)) == 0
    assert verdict_code(trial(read_policy_file(file), QUICK, QUICK)) == 0


def test_both_policies_are_measured_by_the_shares_and_the_default_qos_of_the_first(tmp_path: Path) -> None:
    file = tmp_path / "policy.yaml"
    file.write_text("accounts:\n  root: {default_qos: fast}\n  a: {shares: 3}\n  b: {}\n", encoding="utf-8")
    found = trial(read_policy_file(file), QUICK, QUICK)
    assert found.against is not None
    for figures in (found.figures, found.against):
        assert {one.account: one.configured for one in figures.shares} == {"a": 0.75, "b": 0.25}
        assert figures.group("qos", "fast")


def test_two_files_of_the_same_name_are_told_apart_and_notes_on_the_other_say_so(tmp_path: Path) -> None:
    file = tmp_path / "policy.yaml"
    file.write_text("objectives: {wait_p95: 60s}\n", encoding="utf-8")
    own = replace(QUICK, left_out=("3 jobs were dropped.",))
    found = trial(read_policy_file(file), own, replace(own, left_out=("3 jobs were dropped.", "KillWait is ignored.")))
    assert found.against is not None
    assert (found.figures.policy, found.against.policy) == ("policy.yaml", "policy.yaml (against)")
    assert found.left_out == ("3 jobs were dropped.", "policy.yaml (against): KillWait is ignored.")
