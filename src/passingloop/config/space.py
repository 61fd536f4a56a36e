"""Points that are drawn: values of settings from distributions, and some of the combinations of other values.

``optim.lr=log(1e-5,1e-3)`` is uniform in the logarithm, ``model.dropout=uniform(0,0.3)`` in the value,
``adapter.rank=int(4,64)`` over whole numbers with both ends. Lists of values, and ``choice(…)``, are Hydra's.
"""

from __future__ import annotations

import copy
import math
import random
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from omegaconf import DictConfig, OmegaConf

from passingloop.config.build import build
from passingloop.config.running import SweepConfig
from passingloop.config.values import is_text
from passingloop.errors import ConfigError

DRAWN = re.compile(r"\+{0,2}([\w.]+)=(log|uniform|int)\((.*)\)")
"""A word that gives a setting a distribution, on a command line or among what a configuration sweeps over."""

DIGITS = 4
"""Of drawn numbers: no more is needed to tell them apart, and people have to read them."""

TRIES = 50
"""Draws for each point that is wanted, until a space counts as having no more points."""


@dataclass(frozen=True, slots=True)
class Distribution:
    """From which the value of a setting is drawn."""

    kind: Literal["log", "uniform", "int"]
    low: float
    high: float

    def __str__(self) -> str:
        low, high = (f"{end:.0f}" if self.kind == "int" else f"{end:g}" for end in (self.low, self.high))
        return f"{self.kind}({low},{high})"

    def value(self, place: float) -> float | int:
        """The value at `place` of the distribution, from 0 to 1."""
        if self.kind == "int":
            return min(int(self.high), int(self.low) + math.floor(place * (self.high - self.low + 1)))
        if self.kind == "log":
            value = self.low * (self.high / self.low) ** place
        else:
            value = self.low + place * (self.high - self.low)
        return self.rounded(value)

    def rounded(self, value: float) -> float | int:
        """A value to `DIGITS` digits, within the ends."""
        if self.kind == "int":
            return round(value)
        return min(self.high, max(self.low, float(f"{value:.{DIGITS}g}")))


Space = Mapping[str, Distribution]
"""Distributions by the setting."""


def split_distributions(words: Sequence[str]) -> tuple[list[str], dict[str, Distribution]]:
    """`words` of a command line with the least value in place of each distribution, and the distributions.

    Raises:
        ConfigError: a distribution is not one, or there is no ``-m``.
    """
    plain, space = split_space(words)
    if space and not {"-m", "--multirun"} & set(words):
        word = next(word for word in words if DRAWN.fullmatch(word))
        raise ConfigError(f"You set {word}, from which points of a sweep are drawn. Add -m and sweep.points=N.")
    if key := next((key for key in space if key.startswith("hydra.")), None):
        setting = key.removeprefix("hydra.sweeper.params.")
        raise ConfigError(
            f"You set {key} to a distribution. On a command line give the setting itself one: {setting}={space[key]}."
        )
    return plain, space


def split_space(words: Sequence[str]) -> tuple[list[str], dict[str, Distribution]]:
    """The same for words from anywhere.

    Raises:
        ConfigError: a distribution is not one.
    """
    space: dict[str, Distribution] = {}
    plain = []
    for word in words:
        found = DRAWN.fullmatch(word)
        numbers = found[3].split(",") if found else []
        if found is None or is_text(found[1]) or (found[2] == "int" and len(numbers) == 1):  # Hydra's own int(…)
            plain.append(word)
            continue
        space[found[1]] = distribution = _distribution(word, found[2], numbers)
        plain.append(f"{word.partition('=')[0]}={distribution.value(0.0)}")
    return plain, space


def number_of_points(space: Space) -> int | None:
    """How many points there are, if all settings are whole numbers; else None."""
    if any(each.kind != "int" for each in space.values()):
        return None
    return math.prod(int(each.high) - int(each.low) + 1 for each in space.values())


def distribution_of(key: str, text: str) -> Distribution:
    """The distribution that `sweep.space` has for a setting.

    Raises:
        ConfigError: it is none.
    """
    word = f"{key}={text}"
    found = DRAWN.fullmatch(word)
    if found is None:
        raise ConfigError(f"sweep.space has {word}, which is no distribution. Choose from log, uniform and int.")
    return _distribution(word, found[2], found[3].split(","))


def _distribution(word: str, kind: str, numbers: Sequence[str]) -> Distribution:
    advice = f"Give two numbers, the smaller one first, such as {word.partition('=')[0]}={kind}"
    advice += "(4,64)." if kind == "int" else "(1e-5,1e-3)." if kind == "log" else "(0,0.3)."
    try:
        low, high = map(float, numbers)
    except ValueError:
        raise ConfigError(f"You set {word}, which has no two numbers. {advice}") from None
    if not (low < high < math.inf and low > -math.inf):
        raise ConfigError(f"You set {word}, which has nothing in between. {advice}")
    if kind == "log" and low <= 0:
        raise ConfigError(f"You set {word}, but only numbers above 0 have a logarithm. {advice}")
    if kind == "int" and not (low.is_integer() and high.is_integer()):
        raise ConfigError(f"You set {word}, but those are no whole numbers. {advice}")
    return Distribution(kind, low, high)  # type: ignore[arg-type]  # it is one of the words of DRAWN


def drawn_points(combinations: Sequence[DictConfig], space: Space) -> list[DictConfig]:
    """The points of a sweep: all `combinations` of its values, or as many as are to be drawn from them and `space`.

    Of more points the first are the same. All have their place in the order in which they are to begin.

    Raises:
        ConfigError: how many is not said; or the sweep section is wrong, or different from point to point.
    """
    sections = [OmegaConf.to_container(point.sweep, resolve=True) for point in combinations]
    sweep = build(SweepConfig, sections[0], prefix="sweep.")  # type: ignore[arg-type]  # it is a section of settings
    if any(section != sections[0] for section in sections) and (space or sweep.search != "grid"):
        raise ConfigError("You sweep over a setting of `sweep` itself, but there is one search. Give it one value.")
    for problem in sweep.contradictions():
        raise ConfigError(problem)
    if space and sweep.search == "grid":
        raise ConfigError(
            f"You set a distribution for {next(iter(space))}, but sweep.search=grid trains every combination of "
            "values, and a distribution has no end of them. Set another search, such as sweep.search=random, and "
            "sweep.points."
        )
    if sweep.search == "tpe" and (not space or len(combinations) > 1):
        raise ConfigError(
            "You set sweep.search=tpe, which draws values from distributions, and from nothing else. Give settings "
            "distributions such as log(1e-5,1e-3) or int(4,64), and all others one value."
        )
    wanted = sweep.points if sweep.search == "tpe" else sweep.max_points or sweep.points
    if wanted is None and (space or sweep.search == "random"):
        raise ConfigError(f"You set sweep.search={sweep.search}, but not how many points are drawn. Set sweep.points.")
    if wanted is None:
        return list(combinations)
    given: dict[str, Any] = {"sweep.space": {key: str(distribution) for key, distribution in space.items()}}
    draws = _draws(len(combinations), space, sweep, wanted)
    return [_point(combinations[number], {**values, **given}) for number, values in draws]


def ends_of(combinations: Sequence[DictConfig], space: Space) -> Iterator[DictConfig]:
    """A point with the largest value for each distribution, to be checked; the least are in all combinations."""
    for key, distribution in space.items():
        yield _point(combinations[0], {key: distribution.value(1.0)})


def _draws(
    combinations: int, space: Space, sweep: SweepConfig, wanted: int
) -> list[tuple[int, dict[str, float | int]]]:
    """For each point the number of its combination, and its drawn values; no two are alike.

    Each value has a generator of its own, so that another distribution beside it does not change it.
    """
    order = list(range(combinations))
    _generator(sweep.seed).shuffle(order)
    most = wanted * TRIES if space else min(wanted, combinations)
    points: dict[Any, tuple[int, dict[str, float | int]]] = {}
    for number in range(most):
        if len(points) == wanted:
            break
        places = {key: _generator(sweep.seed, number, key).random() for key in space}
        values = {key: space[key].value(place) for key, place in places.items()}
        combination = order[number % combinations]
        points.setdefault((combination, *values.values()), (combination, values))
    return list(points.values())


def _generator(*seed: object) -> random.Random:
    return random.Random(" ".join(map(str, seed)))  # noqa: S311  # nothing secret is drawn


def _point(combination: DictConfig, values: Mapping[str, Any]) -> DictConfig:
    point = copy.deepcopy(combination)
    for key, value in values.items():
        OmegaConf.update(point, key, value, force_add=True)  # Hydra closes configurations to new keys
    return point
