"""Objectives judged on figures of replays."""

from __future__ import annotations

from pathlib import Path

import pytest

from passingloop.policy.objectives.objective import MEASURES
from passingloop.policy.policy_file import read_policy_file
from passingloop.report.simulation.policy_figures import Judgement, PolicyFigures
from passingloop.simulation.replay_figures import replay_figures
from passingloop.simulation.verdict import judgements
from tests.simulation.made_outcomes import outcome, replay

SLOW = replay_figures(replay([outcome((100, 3600), gpus=4, qos="interactive"), outcome((0, 3600), gpus=4)]))
QUICK = replay_figures(replay([outcome((10, 3600), gpus=4, qos="interactive"), outcome((30, 3600), gpus=4)]))
STARVED = replay_figures(replay([outcome(gpus=4, qos="interactive", reason="Priority")]))


def judged(folder: Path, line: str, figures: PolicyFigures, against: PolicyFigures | None = None) -> Judgement:
    file = folder / "policy.yaml"
    file.write_text(f"objectives:\n  {line}\n", encoding="utf-8")
    (found,) = judgements(read_policy_file(file), figures, against)
    assert found.objective == line
    assert found.place == f"{file}:2"
    return found


@pytest.mark.parametrize(
    "line",
    [
        "interactive.wait_p95: 60s",
        "utilisation: 98.5%",
        "never_started: 0",
        "lost_share: 1%",
        "accounts.vision.wait_p99: 1min",
    ],
)
def test_what_is_reached_and_what_is_missed(tmp_path: Path, line: str) -> None:
    quick = judged(tmp_path, line, QUICK)
    assert (quick.is_met, quick.sentence) == (True, "")
    missed = judged(tmp_path, line, STARVED)
    assert missed.is_met is (None if line.startswith("lost") else False)


def test_a_miss_says_where_it_stands_what_was_found_and_by_how_much(tmp_path: Path) -> None:
    slow = judged(tmp_path, "interactive.wait_p95: 60s", SLOW)
    assert slow.found == "1 min 40 s"
    assert slow.sentence == (
        f"{tmp_path}/policy.yaml:2: interactive.wait_p95: 60s is missed: it is 1 min 40 s, not at most 1 min, missed "
        "by 40 s."
    )
    idle = judged(tmp_path, "utilisation: 100%", SLOW)
    assert idle.sentence.endswith("it is 98.6 %, not at least 100.0 %, missed by 1.4 points.")


def test_a_job_that_never_started_misses_any_wait(tmp_path: Path) -> None:
    starved = judged(tmp_path, "interactive.wait_p95: 2h", STARVED)
    assert starved.is_met is False
    assert "it is at least 1 h, which had not ended, not at most 2 h." in starved.sentence


def test_beside_the_other_policy(tmp_path: Path) -> None:
    assert judged(tmp_path, "utilisation: against", QUICK, SLOW).is_met
    assert judged(tmp_path, "utilisation: against", SLOW, QUICK).is_met is False
    assert judged(tmp_path, "utilisation: against - 1%", SLOW, QUICK).is_met
    assert judged(tmp_path, "interactive.wait_p95: against", SLOW, QUICK).is_met is False
    assert judged(tmp_path, "interactive.wait_p95: against + 90s", SLOW, QUICK).is_met


@pytest.mark.parametrize(
    ("line", "against", "why"),
    [
        ("utilisation: against", None, "it compares with another policy, and --against names none"),
        ("interactive.wait_p95: against", STARVED, "the other policy has no such figure"),
        ("scavenger.wait_p95: 60s", None, "the trace has nothing that it is about"),
        ("jain: 0.9", None, "the trace has nothing that it is about"),
    ],
)
def test_what_cannot_be_judged_is_neither_met_nor_missed(
    tmp_path: Path, line: str, against: PolicyFigures | None, why: str
) -> None:
    found = judged(tmp_path, line, SLOW, against)
    assert found.is_met is None
    assert found.sentence.endswith(f"{line} is not judged: {why}.")


def test_each_figure_that_can_be_asked_for_is_found(tmp_path: Path) -> None:
    figures = replay_figures(
        replay([outcome((0, 3600), gpus=4, account="a", qos="q"), outcome((9, 3600), gpus=4, account="b", qos="q")])
    )
    values = {"seconds": "1d", "share": "1%", "index": "0.1", "count": "0"}
    heads = {"all": "", "qos": "q.", "account": "accounts.a."}
    for name, measure in MEASURES.items():
        for scope in measure.scopes:
            line = f"{heads[scope]}{name}: {values[measure.unit]}"
            assert judged(tmp_path, line, figures).is_met, line
