"""A search with ``launcher=shell``: which of its runs are trained, in which order. The training is a stand-in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from passingloop.attempts import foreground
from passingloop.attempts.foreground import search_here
from passingloop.config.settings import RunConfig
from passingloop.rundir import record
from passingloop.rundir.choice import choose_run
from passingloop.rundir.directory import RunDir
from tests.conftest import Compose
from tests.search.made_points import STEPS, Sweep

Trains = Callable[[RunDir, RunConfig], int]


@pytest.fixture
def search(compose: Compose, monkeypatch: pytest.MonkeyPatch) -> Callable[[Sweep, Trains], int]:
    """Trains the points 1, 2 and 3 by calling a function, which returns the exit code of a run. Returns that of all."""

    def search(sweep: Sweep, trains: Trains) -> int:
        def carry_out(run: RunDir, config: RunConfig, *_: object) -> int:
            assert run.path.is_dir()
            return trains(run, config)

        monkeypatch.setattr(foreground, "carry_out", carry_out)
        return search_here([sweep.config(seed) for seed in (1, 2, 3)], lambda _: None)

    return search


def test_ctrl_c_ends_it_also_after_a_run_whose_process_was_killed(
    compose: Compose, search: Callable[[Sweep, Trains], int]
) -> None:
    sweep, begun = Sweep(compose, "resources.gpus=0"), []

    def trains(_: RunDir, config: RunConfig) -> int:
        seed = config.trainer.seed
        begun.append(seed)
        sweep.begin(seed)
        sweep.end(seed, "crash" if seed == 1 else "interrupted", 4)
        return 137 if seed == 1 else 130

    assert search(sweep, trains) == 130
    assert begun == [1, 2]


def test_a_failed_point_counts_in_the_exit_code_and_the_best_is_trained_to_the_end(
    compose: Compose, search: Callable[[Sweep, Trains], int]
) -> None:
    sweep, begun = Sweep(compose, "resources.gpus=0"), []

    def trains(_: RunDir, config: RunConfig) -> int:
        seed = config.trainer.seed
        step = round(STEPS * (config.trainer.pause_at or 1))
        begun.append((seed, step))
        if seed == 1:
            sweep.begin(seed)
            sweep.end(seed, "crash", 4)
            return 1
        sweep.reach(seed, step, loss=seed / step)
        return 0

    assert search(sweep, trains) == 1
    assert begun == [(1, 10), (2, 10), (3, 10), (2, 30), (2, 90)]


def test_a_point_is_its_run_also_where_that_was_trained_again_beside_it(
    compose: Compose, search: Callable[[Sweep, Trains], int]
) -> None:
    sweep, begun = Sweep(compose, "resources.gpus=0"), []
    sweep.add(1)
    point = sweep.run(1)
    record.create(point, sweep.config(1), {})
    beside = choose_run(replace(sweep.config(1), rerun=True))
    record.create(beside, sweep.config(1), {})

    def trains(run: RunDir, config: RunConfig) -> int:
        begun.append(run)
        return 130

    assert search(sweep, trains) == 130
    assert begun == [point]
    assert len(sweep.content.entries) == 3
