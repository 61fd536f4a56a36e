"""Rounds of decisions, over run directories: what is taken down, decided, and carried out by whom."""

from __future__ import annotations

from dataclasses import replace

import pytest

from passingloop.rundir.events import End, Seconds
from passingloop.rundir.ledger import Ledger
from passingloop.search.decision_round import decide, retry_failed
from passingloop.search.enrolment import config_to_rung
from passingloop.search.findings import new_reports, seconds_to_rung
from passingloop.search.sweep_ledger import SweepFile
from passingloop.status.query import states_of
from tests.conftest import Compose
from tests.search.made_points import STEPS, Sweep


@pytest.fixture
def sweep(compose: Compose) -> Sweep:
    sweep = Sweep(compose)
    sweep.add(1, 2, 3)
    return sweep


def rungs(sweep: Sweep) -> list[int | None]:
    return [point.told for point in sweep.content.points]


def test_the_best_goes_on_to_the_end_and_the_others_stay_where_they_are(sweep: Sweep) -> None:
    assert sweep.decide() == {(1, 0), (2, 0), (3, 0)}
    sweep.reach(1, 10, loss=0.5)
    sweep.reach(2, 10, loss=0.4)
    assert sweep.decide() == {(3, 0)}
    sweep.reach(3, 10, loss=0.6)
    assert sweep.decide() == {(2, 1)}
    sweep.reach(2, 30, loss=0.3)
    assert sweep.decide() == {(2, 2)}
    sweep.reach(2, STEPS, loss=0.2)
    assert sweep.decide() == set()
    assert rungs(sweep) == [0, 2, 0]
    best = sweep.content.entries[sweep.run(2).path.name]
    assert [(rung, at.step, at.value) for rung, at in best.reported.items()] == [
        (0, 10, 0.4),
        (1, 30, 0.3),
        (2, 90, 0.2),
    ]


def test_what_a_killed_decider_has_not_carried_out_is_done_by_the_next_and_once(sweep: Sweep) -> None:
    sweep.decide("one that is killed")
    assert sweep.decide() == {(1, 0), (2, 0), (3, 0)}
    sweep.begin(1)
    assert sweep.decide() == {(2, 0), (3, 0)}, "and the first counts as failed, as nobody trains it"
    told = [told.by for entry in sweep.content.entries.values() for told in entry.told]
    assert told == ["one that is killed"] * 3, "no decision is taken twice"


def test_a_job_that_has_not_left_sees_by_itself_that_its_run_goes_on(sweep: Sweep) -> None:
    """No job is submitted beside it; once it has left, somebody else does so."""
    sweep.decide()
    for seed in (1, 2, 3):
        sweep.reach(seed, 10, loss=seed / 10)
    assert sweep.decide(without=1) == set()
    config = config_to_rung(sweep.run(1), sweep.config(1))
    assert config
    assert config.trainer.pause_at == pytest.approx(1 / 3)
    sweep.file.write_left(sweep.run(1), 0)
    assert sweep.decide() == {(1, 1)}
    assert config_to_rung(sweep.run(2), sweep.config(2)) is None, "it has been where it was told to go"


def test_while_slurm_does_not_answer_a_job_may_still_be_about_to_go_on(
    sweep: Sweep, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "")
    sweep.decide()
    for seed in (1, 2, 3):
        sweep.queue(seed)
        sweep.reach(seed, 10, loss=seed / 10)
    assert sweep.decide() == set()
    sweep.file.write_left(sweep.run(1), 0)
    assert sweep.decide() == {(1, 1)}


def test_failed_ones_drop_out_until_somebody_tries_again(sweep: Sweep) -> None:
    sweep.decide()
    sweep.reach(1, 10, loss=0.5)
    sweep.begin(2)
    sweep.end(2, "crash", 3, loss=0.1)
    sweep.reach(3, 10, loss=0.4)
    assert sweep.decide() == {(3, 1)}
    failed = sweep.content.entries[sweep.run(2).path.name].reported[0]
    assert (failed.value, failed.step) == (None, 0)
    assert failed.why == "It is failed."
    retry_failed(sweep.file, "a command")
    assert sweep.decide() == {(2, 0), (3, 1)}
    sweep.reach(2, 10, loss=0.1)
    assert sweep.decide() == {(2, 1), (3, 1)}, "nobody is called back"


def test_a_job_that_tries_a_rung_again_has_not_left_after_it(sweep: Sweep) -> None:
    sweep.decide()
    sweep.begin(1)
    sweep.end(1, "crash", 4)
    sweep.decide()
    sweep.file.write_left(sweep.run(1), 0)
    retry_failed(sweep.file, "a command")
    assert sweep.content.entries[sweep.run(1).path.name].left == set()
    sweep.file.write_left(sweep.run(1), 0)
    assert sweep.content.entries[sweep.run(1).path.name].left == {0}


def test_a_value_that_comes_late_counts(sweep: Sweep) -> None:
    """As of a run that was counted as failed, and that somebody has submitted again."""
    sweep.decide()
    sweep.reach(1, 10, loss=0.5)
    sweep.reach(3, 10, loss=0.4)
    sweep.begin(2)
    sweep.end(2, "crash", 3, loss=9.9)
    assert sweep.decide() == {(3, 1)}
    sweep.reach(2, 10, loss=0.1)
    assert sweep.decide() == {(2, 1), (3, 1)}


def test_cancelled_ones_do_not_go_on_wherever_they_are(sweep: Sweep) -> None:
    sweep.decide()
    sweep.cancel(1)
    sweep.reach(2, 10, loss=0.1)
    sweep.cancel(2)
    sweep.reach(3, 10, loss=0.4)
    assert sweep.decide() == {(3, 1)}
    assert sweep.decide() == {(3, 1)}
    retry_failed(sweep.file, "a command")
    assert sweep.decide() == {(1, 0), (2, 0), (3, 1)}


def test_a_run_that_is_done_already_needs_no_job(sweep: Sweep) -> None:
    for seed in (1, 2, 3):
        sweep.begin(seed)
        for step in (10, 20, 90):
            sweep.end(seed, "completed", step, loss=1 / step + seed)
    assert sweep.decide() == set()
    assert rungs(sweep) == [2, 0, 0]
    best = sweep.content.entries[sweep.run(1).path.name].reported
    assert [best[rung].value for rung in range(3)] == pytest.approx([1 + 1 / 10, 1 + 1 / 20, 1 + 1 / 90])


def test_points_that_are_added_later_are_compared_with_all(sweep: Sweep) -> None:
    sweep.decide()
    for seed in (1, 2, 3):
        sweep.reach(seed, 10, loss=seed / 10)
    assert sweep.decide() == {(1, 1)}
    sweep.add(1, 2, 3, 4, 5, 6)
    assert sweep.decide() == {(1, 1), (4, 0), (5, 0), (6, 0)}
    sweep.reach(1, 30, loss=0.1)
    for seed in (4, 5, 6):
        sweep.reach(seed, 10, loss=seed / 100)
    assert sweep.decide() == {(4, 1), (5, 1)}


def test_without_the_metric_it_is_said_what_there_is_and_another_may_be_chosen(compose: Compose) -> None:
    words = Sweep(compose, "sweep.metric=validation/f1")
    words.add(1, 2, 3)
    words.decide()
    for seed in (1, 2, 3):
        words.reach(seed, 10, loss=seed / 10, accuracy=seed / 10)
    assert words.decide() == set()
    why = words.content.entries[words.run(1).path.name].reported[0].why
    assert why == "There is no validation/f1. Measured were validation/loss, validation/accuracy."
    other = Sweep(compose, "sweep.metric=validation/accuracy")
    other.add(1, 2, 3)
    assert other.decide() == {(3, 1)}, "more of it is better"


def test_nan_is_kept_and_does_not_go_on(sweep: Sweep) -> None:
    sweep.decide()
    sweep.reach(1, 10, loss=float("nan"))
    sweep.reach(2, 10, loss=0.4)
    sweep.reach(3, 10, loss=float("inf"))
    assert sweep.decide() == {(2, 1)}


def test_a_nan_that_is_known_is_not_news(sweep: Sweep) -> None:
    sweep.decide()
    sweep.reach(1, 10, loss=float("nan"))
    entry = sweep.content.entries[sweep.run(1).path.name]
    [state] = states_of([sweep.run(1)])
    news = new_reports(sweep.run(1), sweep.content.search, entry, state)
    assert list(news) == [0]
    known = replace(entry, reported={0: replace(news[0], value=float("nan"))})
    assert new_reports(sweep.run(1), sweep.content.search, known, state) == {}


def test_a_torn_last_line_is_passed_over(sweep: Sweep) -> None:
    sweep.decide()
    with sweep.file.path.open("a") as file:
        file.write('{"event": "value", "run": "')
    sweep.reach(1, 10, loss=0.5)
    assert sweep.decide() == {(2, 0), (3, 0)}
    assert sweep.content.entries[sweep.run(1).path.name].reported[0].value == 0.5


def test_the_ledger_of_a_user_is_beside_the_runs(sweep: Sweep) -> None:
    assert SweepFile.of_run(sweep.run(1)) == sweep.file
    assert sweep.file.path.name == "sweep.jsonl"
    assert decide(sweep.file, "a test")


def test_the_way_to_the_next_rung_takes_eta_times_as_long_less_what_is_done(sweep: Sweep) -> None:
    seconds = Seconds(starting=10, training=100, saving=5)
    past = Ledger((End(attempt=1, end_step=10, cause="paused", seconds=seconds),))
    assert seconds_to_rung(past, sweep.content.search, 1) == pytest.approx(10 + 2 * 105)
