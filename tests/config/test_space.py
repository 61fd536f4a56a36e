"""Points that are drawn: which, how many, and what is said of mistakes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from omegaconf import DictConfig, OmegaConf

from passingloop.config.space import Distribution, distribution_of, drawn_points, ends_of, split_distributions
from passingloop.errors import ConfigError


def combinations(*seeds: int, **sweep: object) -> list[DictConfig]:
    """As Hydra composes them: closed to new keys."""
    points = [
        OmegaConf.create({"trainer": {"seed": seed}, "optim": {"lr": 1.0}, "sweep": SWEEP | sweep}) for seed in seeds
    ]
    for point in points:
        OmegaConf.set_struct(point, True)
    return points


SWEEP = {"parallel": None, "pack": 1, "space": {}}
LR = {"optim.lr": Distribution("log", 1e-5, 1e-3)}


def rates(points: Sequence[DictConfig]) -> list[float]:
    return [point.optim.lr for point in points]


@given(
    st.sampled_from(["log", "uniform", "int"]),
    st.floats(0.001, 1e6),
    st.floats(0.001, 1e6),
    st.lists(st.floats(0, 1), min_size=2),
)
def test_values_are_within_the_ends_and_in_the_order_of_their_places(
    kind: str, one: float, other: float, places: Sequence[float]
) -> None:
    low, high = sorted([one, other])
    if kind == "int":
        low, high = math.floor(low), math.ceil(high) + 1
    distribution = Distribution(kind, low, high)  # type: ignore[arg-type]  # a word of the list
    values = [distribution.value(place) for place in sorted(places)]
    assert all(low <= value <= high for value in values)
    assert all(first <= second for first, second in pairwise(values))
    assert (distribution.value(0.0), distribution.value(1.0)) == (
        pytest.approx(low, rel=1e-3),
        pytest.approx(high, rel=1e-3),
    )
    assert kind != "int" or all(isinstance(value, int) for value in values)


def test_the_logarithm_is_uniform() -> None:
    points = drawn_points(combinations(1, search="random", points=200), LR)
    low = sum(rate < 1e-4 for rate in rates(points))
    assert 70 < low < 130


def test_more_points_begin_with_the_same_and_another_distribution_does_not_change_them() -> None:
    few = drawn_points(combinations(1, 2, search="random", points=5), LR)
    many = drawn_points(combinations(1, 2, search="halving", points=9), LR)
    assert few == [OmegaConf.merge(point, {"sweep": few[0].sweep}) for point in many[:5]]
    space = {**LR, "trainer.steps": Distribution("int", 1, 1000)}
    assert rates(drawn_points(combinations(1, 2, search="random", points=5), space)) == rates(few)
    other = drawn_points(combinations(1, 2, search="random", points=5, seed=1), LR)
    assert not set(rates(other)) & set(rates(few))


def test_combinations_come_equally_often() -> None:
    points = drawn_points(combinations(1, 2, 3, search="random", points=9), LR)
    assert sorted(point.trainer.seed for point in points) == [1, 1, 1, 2, 2, 2, 3, 3, 3]


def test_no_point_comes_twice_and_a_small_space_ends() -> None:
    space = {"optim.lr": Distribution("int", 1, 3)}
    assert sorted(rates(drawn_points(combinations(1, search="random", points=10), space))) == [1, 2, 3]
    assert len(drawn_points(combinations(1, 2, search="halving", points=10), {})) == 2


def test_a_grid_is_taken_as_it_is_and_some_of_it_are_drawn() -> None:
    grid = combinations(*range(9), search="halving")
    assert drawn_points(grid, {}) == grid
    some = drawn_points(combinations(*range(9), search="halving", points=4), {})
    assert len({point.trainer.seed for point in some}) == 4


def test_asha_draws_all_that_it_may_begin() -> None:
    assert len(drawn_points(combinations(1, search="asha", points=2, max_points=7), LR)) == 7


def test_points_say_from_what_they_were_drawn() -> None:
    [point] = drawn_points(combinations(1, search="tpe", points=1, max_points=9), LR)
    assert {key: distribution_of(key, text) for key, text in point.sweep.space.items()} == LR
    with pytest.raises(ConfigError, match="no distribution"):
        distribution_of("optim.lr", "normal(0,1)")


def test_the_ends_are_there_to_be_checked() -> None:
    assert rates(list(ends_of(combinations(1), LR))) == [1e-3]


def test_words_are_taken_apart() -> None:
    typed = [
        "-m",
        "optim.lr=log(1e-5,1e-3)",
        "+a.b=uniform(0,1)",
        "trainer.seed=int(4,7)",
        "name=log(1,2)",
        "x=int(3.5)",
    ]
    words, space = split_distributions(typed)
    assert words == ["-m", "optim.lr=1e-05", "+a.b=0.0", "trainer.seed=4", "name=log(1,2)", "x=int(3.5)"]
    assert space == {
        "optim.lr": Distribution("log", 1e-5, 1e-3),
        "a.b": Distribution("uniform", 0, 1),
        "trainer.seed": Distribution("int", 4, 7),
    }


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("optim.lr=log(0,1)", "only numbers above 0 have a logarithm"),
        ("optim.lr=log(1)", "has no two numbers. Give two numbers, the smaller one first, such as optim.lr=log"),
        ("optim.lr=uniform(2,1)", "has nothing in between"),
        ("optim.lr=uniform(0,inf)", "has nothing in between"),
        ("adapter.rank=int(1.5,4)", "no whole numbers"),
        ("adapter.rank=int(a,b)", "no two numbers"),
    ],
)
def test_a_mistake_is_named(word: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said) as error:
        split_distributions(["-m", word])
    assert word in str(error.value)


def test_one_run_has_no_distribution() -> None:
    with pytest.raises(ConfigError, match=r"Add -m and sweep\.points=N"):
        split_distributions(["optim.lr=log(1e-5,1e-3)"])


@pytest.mark.parametrize(
    ("sweep", "space", "said"),
    [
        ({}, LR, "sweep.search=grid trains every combination"),
        ({"search": "halving"}, LR, "not how many points are drawn"),
        ({"search": "random"}, {}, "not how many points are drawn"),
        ({"points": 3}, {}, "sweep.search=grid trains every combination"),
        ({"search": "halving", "points": 3, "max_points": 9}, {}, "begins all its points at once"),
        ({"search": "asha", "points": 9, "max_points": 3}, {}, "Set sweep.points to that many or fewer"),
        ({"search": "tpe", "points": 3}, {}, "which draws values from distributions, and from nothing else"),
        ({"search": "tpe", "points": 3}, LR, "all others one value"),
        ({"search": "bayes"}, {}, "must be one of grid, random, halving, asha, tpe"),
        ({"search": "halving", "metric": "test/accuracy"}, {}, "a metric of the validation"),
    ],
)
def test_what_contradicts_itself_is_refused(
    sweep: dict[str, object], space: dict[str, Distribution], said: str
) -> None:
    with pytest.raises(ConfigError, match=said):
        drawn_points(combinations(1, 2, **sweep), space)


def test_a_sweep_has_one_search() -> None:
    points = combinations(1, search="halving") + combinations(1, search="asha")
    with pytest.raises(ConfigError, match="there is one search"):
        drawn_points(points, {})
