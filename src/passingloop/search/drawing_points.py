"""``sweep.search=tpe``: points drawn near the best of those before, by optuna's ask-and-tell.

Optuna keeps nothing. Before each draw it is told all points of the ledger anew, which takes some milliseconds; so there
is neither a server nor a second file that could contradict the ledger.
"""

from __future__ import annotations

import copy
import importlib.util
import itertools
import random
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from passingloop.config.build import build, leaves
from passingloop.config.settings import RunConfig
from passingloop.config.space import Distribution, Space, distribution_of, number_of_points
from passingloop.errors import MissingError
from passingloop.plan import signature
from passingloop.rundir.choice import newest_run
from passingloop.search.rungs import Search
from passingloop.search.sweep_ledger import Entry, SweepLedger, signature_of

TRIES = 20
"""Draws for a point before those that are left are looked for one by one."""

MOST_LISTED = 10_000
"""Points of a space of whole numbers that are."""


def check_sampler() -> None:
    """Raises MissingError if optuna is not installed."""
    if importlib.util.find_spec("optuna") is None:
        raise MissingError(
            "You set sweep.search=tpe, which draws points with optuna, and it is not installed. Install it: "
            "pip install 'passingloop[tpe]'. Or set sweep.search=random or asha."
        )


def next_points(sweep: SweepLedger) -> list[Entry]:
    """The next point, if there is room for one, and more may be drawn; with a value for each setting of the space.

    The caller holds the lock of the user's submissions, and has read `sweep` under it. A point that was trained again
    with rerun=true, in a folder beside its own, is still the same point.

    Raises:
        MissingError: optuna is not installed here.
    """
    entries = list(sweep.entries.values())
    room = sweep.search.width - sum(point.is_open for point in sweep.points)
    if sweep.search.kind != "tpe" or room < 1 or len(entries) >= (sweep.max_points or 0):
        return []
    check_sampler()
    first = entries[0]
    space = {key: distribution_of(key, text) for key, text in first.settings["sweep"]["space"].items()}
    known = {signature_of(entry.run) for entry in entries}
    for values in _draws(space, entries, sweep.search, first.config.sweep.seed + len(entries) * TRIES):
        settings = _with_values(first.settings, values)
        config = build(RunConfig, settings)
        if signature(config) not in known:
            return [Entry(run=newest_run(config).path.name, values=values, settings=settings, reported={})]
    return []


def _draws(space: Space, entries: Sequence[Entry], search: Search, seed: int) -> Iterator[dict[str, float | int]]:
    """Values for the settings of a space; where there are only so many, all that are left come up at last."""
    for attempt in range(TRIES):
        yield ask(space, entries, search, seed + attempt)
    size = number_of_points(space)
    if size is not None and size <= MOST_LISTED:
        known = {tuple(dict(leaves(entry.settings)).get(key) for key in space) for entry in entries}
        ranges = (range(int(each.low), int(each.high) + 1) for each in space.values())
        left = [values for values in itertools.product(*ranges) if values not in known]
        random.Random(seed).shuffle(left)  # noqa: S311  # no secret
        for values in left:
            yield dict(zip(space, values, strict=True))


def ask(space: Space, entries: Sequence[Entry], search: Search, seed: int) -> dict[str, float | int]:
    """Values for the settings of `space`, drawn by what is known of the points `entries`."""
    import optuna  # takes a second

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    kinds = {key: _optuna_distribution(distribution) for key, distribution in space.items()}
    # With constant_liar, points that are being trained keep others away from where they are.
    sampler = optuna.samplers.TPESampler(seed=seed, constant_liar=True)
    direction = "minimize" if search.lower_is_better else "maximize"
    study = optuna.create_study(sampler=sampler, direction=direction)
    for entry in entries:
        settings = dict(leaves(entry.settings))
        if any(key not in settings for key in space):
            continue  # added by a command with another space
        value = entry.point.values.get(search.last)
        finite = search.badness(value) < float("inf")
        if value is not None and not finite:
            continue
        state = optuna.trial.TrialState.COMPLETE if finite else optuna.trial.TrialState.RUNNING
        if not finite and not entry.point.is_open:
            continue  # it has failed
        params = {key: settings[key] for key in space}
        study.add_trial(
            optuna.trial.create_trial(params=params, distributions=kinds, value=value if finite else None, state=state)
        )
    found = study.ask(kinds).params
    return {key: distribution.rounded(found[key]) for key, distribution in space.items()}


def _optuna_distribution(distribution: Distribution) -> Any:
    from optuna.distributions import FloatDistribution, IntDistribution

    if distribution.kind == "int":
        return IntDistribution(int(distribution.low), int(distribution.high))
    return FloatDistribution(distribution.low, distribution.high, log=distribution.kind == "log")


def _with_values(settings: Mapping[str, Any], values: Mapping[str, float | int]) -> dict[str, Any]:
    """The settings with other values of some."""
    changed: dict[str, Any] = copy.deepcopy(dict(settings))
    for key, value in values.items():
        *sections, name = key.split(".")
        section = changed
        for each in sections:
            section = section[each]
        section[name] = value
    return changed
