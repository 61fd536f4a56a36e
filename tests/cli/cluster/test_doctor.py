"""``passingloop doctor`` on a machine without Slurm."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Verb

Row = dict[str, str]


@pytest.fixture(autouse=True)
def quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_MODE", "disabled")
    monkeypatch.delenv("PYTHONPATH", raising=False)


def rows(verb: Verb, *words: str, code: int = 0) -> dict[str, Row]:
    done = verb("doctor", "--json", *words)
    assert done.code == code, done.stderr + done.stdout
    found: list[Row] = json.loads(done.stdout)
    assert all(row.keys() == {"check", "level", "what", "evidence", "remedy"} for row in found)
    return {row["check"]: row for row in reversed(found)}  # the first of each check


def test_a_machine_without_slurm_is_judged_by_itself(verb: Verb, work: Path) -> None:
    found = rows(verb)
    assert found["slurm"]["level"] == "unknown"
    assert f"run_root={work / 'runs'} can be written once it is made" in found["run_root"]["what"]
    assert found["wandb"]["level"] == "ok"
    assert not (work / "runs").exists()


def test_the_page_and_the_summary(verb: Verb) -> None:
    done = verb("doctor")
    assert done.code == 0
    assert "ok       run_root" in done.stdout
    assert "would go wrong" not in done.stderr
    assert done.stderr.rstrip().endswith("in order.")


def test_a_problem_is_told_by_the_exit_code(verb: Verb) -> None:
    found = rows(verb, "run_root=/proc/runs", code=1)
    assert found["run_root"]["level"] == "problem"
    assert found["run_root"]["remedy"] == "Set run_root to a folder that you may write to."


@pytest.mark.parametrize("words", [["--node"], ["launcher=slurm"]])
def test_where_slurm_is_asked_for_it_has_to_be_there(verb: Verb, words: list[str]) -> None:
    done = verb("doctor", *words)
    assert (done.code, done.stdout) == (3, "")
    assert "so there is no Slurm to talk to" in done.stderr


def test_wrong_settings(verb: Verb) -> None:
    assert verb("doctor", "cluster.qso=spare").code == 2
    assert verb("doctor", "--nodes").code == 2
    assert verb("doctor", "cluster.qos=a,b").code == 2
    assert verb("doctor", "--node", "--patience", "0").code == 2
    assert verb("doctor", "--node", "--patience", "nan").code == 2
