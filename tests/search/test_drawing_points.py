"""Points that optuna draws from what the ledger has."""

from __future__ import annotations

import importlib.util
import sys
from dataclasses import replace

import pytest

from passingloop.config.build import Options
from passingloop.config.space import Distribution
from passingloop.errors import MissingError
from passingloop.rundir import record
from passingloop.rundir.choice import choose_run
from passingloop.search.drawing_points import ask, next_points
from passingloop.search.enrolment import check_search
from passingloop.search.stalled_search import is_over
from tests.conftest import Compose
from tests.search.made_points import STEPS, Sweep

HAS_OPTUNA = importlib.util.find_spec("optuna") is not None
SPACE = {"trainer.seed": Distribution("int", 1, 1000)}


@pytest.fixture
def sweep(compose: Compose) -> Sweep:
    space = Options({key: str(distribution) for key, distribution in SPACE.items()})
    return Sweep(compose, search="tpe", points=2, max_points=4, space=space)


def test_without_optuna_it_is_said_how_to_install_it(sweep: Sweep, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)  # as if it were not there
    sweep.add(1, 2)
    with pytest.raises(MissingError, match=r"pip install 'passingloop\[tpe\]'"):
        check_search([sweep.config(1)])
    assert sweep.decide() == {(1, 0), (2, 0)}
    assert next_points(sweep.content) == [], "there is no room yet"


@pytest.mark.skipif(not HAS_OPTUNA, reason="optuna is not installed")
def test_points_follow_one_another_up_to_the_number_that_may_be_drawn(sweep: Sweep) -> None:
    sweep.add(1, 2)
    assert sweep.decide() == {(1, 0), (2, 0)}
    sweep.reach(1, STEPS, loss=0.5)
    assert len(sweep.owed()) == 2
    sweep.reach(2, STEPS, loss=0.4)
    drawn = [entry.values for entry in sweep.content.entries.values()][2:]
    assert len(sweep.owed()) == 2
    assert all(1 <= values["trainer.seed"] <= 1000 for values in drawn)
    assert len(sweep.content.entries) == 4, "no more may be drawn"
    assert [entry.config.trainer.seed for entry in sweep.content.entries.values()][2:] == [
        values["trainer.seed"] for values in [entry.values for entry in sweep.content.entries.values()][2:]
    ]


@pytest.mark.skipif(not HAS_OPTUNA, reason="optuna is not installed")
def test_a_point_that_was_trained_again_beside_its_run_is_not_drawn_again(compose: Compose) -> None:
    sweep = Sweep(compose, search="tpe", points=2, max_points=3, space=Options({"trainer.seed": "int(1,2)"}))
    sweep.add(1, 2)
    sweep.decide()
    for seed in (1, 2):
        sweep.reach(seed, STEPS, loss=seed / 10)
        again = replace(sweep.config(seed), rerun=True)
        record.create(choose_run(again), again, {})
    assert sweep.owed() == []
    assert [entry.config.trainer.seed for entry in sweep.content.entries.values()] == [1, 2]


@pytest.mark.skipif(not HAS_OPTUNA, reason="optuna is not installed")
def test_of_a_few_whole_numbers_all_are_drawn_at_last(compose: Compose) -> None:
    """Optuna draws near the best again and again: of 32 numbers it left four, and the sweep seemed to stand still."""
    sweep = Sweep(compose, search="tpe", points=2, max_points=20, space=Options({"trainer.seed": "int(1,20)"}))
    sweep.add(1, 2)
    sweep.decide()
    for _ in range(20):
        for entry in list(sweep.content.entries.values()):
            if entry.point.is_open:
                sweep.reach(entry.config.trainer.seed, STEPS, loss=abs(entry.config.trainer.seed - 7) / 10)
        sweep.owed()
    assert {entry.config.trainer.seed for entry in sweep.content.entries.values()} == set(range(1, 21))
    assert is_over(sweep.content)


@pytest.mark.skipif(not HAS_OPTUNA, reason="optuna is not installed")
def test_the_same_ledger_gives_the_same_point_near_the_best(sweep: Sweep) -> None:
    seeds = list(range(1, 1000, 25))
    sweep.add(*seeds)
    sweep.decide()
    for seed in seeds:
        sweep.reach(seed, STEPS, loss=abs(seed - 700) / 1000)
    sweep.decide()
    content = sweep.content
    entries = list(content.entries.values())
    drawn = [ask(SPACE, entries, content.search, seed)["trainer.seed"] for seed in range(9)]
    assert drawn == [ask(SPACE, entries, content.search, seed)["trainer.seed"] for seed in range(9)]
    assert sum(abs(seed - 700) < 200 for seed in drawn) > 6
