"""How a command adds its points to a search, and how a run finds out to which rung it trains."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

from passingloop.config.build import leaves, to_plain
from passingloop.config.running import SweepConfig
from passingloop.config.settings import RunConfig
from passingloop.errors import ConfigError
from passingloop.plan import LEARNED, signature
from passingloop.rundir.choice import newest_run
from passingloop.rundir.directory import RunDir
from passingloop.search.drawing_points import check_sampler
from passingloop.search.rungs import DECIDING, Search
from passingloop.search.sweep_ledger import Entry, SweepFile, SweepLedger, signature_of
from passingloop.track.metrics_file import lower_is_better


def is_search(configs: Sequence[RunConfig]) -> bool:
    """Whether the points of a sweep are compared on their way, or one is added to points that are."""
    config = configs[0]
    return config.sweep.search in DECIDING and (len(configs) > 1 or sweep_file(config).path.exists())


def sweep_file(config: RunConfig) -> SweepFile:
    """The ledger of the search to which a point belongs."""
    return SweepFile(config.run_root / config.name)


def check_search(configs: Sequence[RunConfig]) -> None:
    """Refuse points that cannot be compared, before anything is written.

    Raises:
        ConfigError: the points are of several experiments; or the rules do not fit those with which the search began,
            or it is not known which values are better.
        MissingError: points are to be drawn by optuna, which is not installed.
    """
    config = configs[0]
    if len({sweep_file(each) for each in configs}) > 1:
        raise ConfigError(
            "You sweep over name or run_root, but the points of a search stand in one folder. Give each one value."
        )
    if config.rerun:
        raise ConfigError(
            "You set rerun=true, but a search goes on where it stands. Set another name to begin one afresh."
        )
    if config.sweep.search == "tpe":
        check_sampler()
    sweep, rules = sweep_file(config).read(), _rules(configs, 1)
    if sweep and (rules.eta, rules.rungs) != (sweep.search.eta, sweep.search.rungs):
        raise ConfigError(
            f"You set sweep.eta={rules.eta} and sweep.rungs={rules.rungs}, but {config.name} began with "
            f"sweep.eta={sweep.search.eta} and sweep.rungs={sweep.search.rungs}, and its runs have paused there. Set "
            "these, or another name."
        )


def add_points(configs: Sequence[RunConfig], *, one_by_one: bool) -> SweepFile:
    """Write the rules and the points of a command, as far as the ledger does not have them so. Returns the ledger.

    Args:
        one_by_one: whether the runs are trained one after another.
    """
    file, config = sweep_file(configs[0]), configs[0]
    sweep, rules = file.read(), _rules(configs, 1 if one_by_one else None)
    file.folder.mkdir(parents=True, exist_ok=True)
    if sweep is None or (sweep.search, sweep.max_points) != (rules, config.sweep.max_points):
        file.write_search(rules, config.sweep.max_points)
    known = sweep.entries if sweep else {}
    names = {signature_of(name): name for name in known}  # a run that was trained again beside its point is none
    plain = {names.get(signature(each)) or newest_run(each).path.name: to_plain(each) for each in configs}
    apart = _keys_apart([*(entry.settings for entry in known.values()), *plain.values()])
    file.write_points(
        Entry(run=name, values=_values(settings, apart), settings=settings, reported={})
        for name, settings in plain.items()
        if name not in known or known[name].settings != settings
    )
    return file


def config_to_rung(run: RunDir, config: RunConfig) -> RunConfig | None:
    """The settings with which `run` trains to the rung to which it was told to; None if it has been there.

    Of a run that belongs to no search, `config`.
    """
    sweep = SweepFile.of_run(run).read() if config.sweep.search in DECIDING else None
    entry = sweep.entries.get(run.path.name) if sweep else None
    if sweep is None or entry is None or entry.newest is None:
        return config
    return None if entry.has_arrived else paused_config(config, sweep, entry.newest.rung)


def paused_config(config: RunConfig, sweep: SweepLedger, rung: int) -> RunConfig:
    """The settings with which a run trains to `rung`."""
    pause = None if rung == sweep.search.last else sweep.search.fraction(rung)
    return replace(config, trainer=replace(config.trainer, pause_at=pause))


def _rules(configs: Sequence[RunConfig], width: int | None) -> Search:
    """The rules that a command asks for; `width` of its runs train at the same time, or all that begin."""
    sweep = configs[0].sweep
    return Search(
        kind=sweep.search,
        metric=sweep.metric,
        lower_is_better=_is_lower_better(sweep),
        eta=sweep.eta,
        rungs=1 if sweep.search == "tpe" else sweep.rungs,
        width=width or sweep.parallel or sweep.points or len(configs),
    )


def _is_lower_better(sweep: SweepConfig) -> bool:
    """Whether less of what points are compared by is better.

    Raises:
        ConfigError: it is not said, and the name is not known.
    """
    known = lower_is_better(sweep.metric) if sweep.goal == "auto" else sweep.goal == "min"
    if known is None:
        raise ConfigError(
            f"You set sweep.metric={sweep.metric}, whose name does not say whether less of it is better, or more. Set "
            "sweep.goal=min or sweep.goal=max."
        )
    return known


def _keys_apart(settings: Sequence[Mapping[str, Any]]) -> set[str]:
    """The settings of what is learned in which some differ."""
    flat = [dict(leaves({name: each[name] for name in LEARNED})) for each in settings]
    return {key for key in set().union(*flat) if len({repr(each.get(key)) for each in flat}) > 1}


def _values(settings: Mapping[str, Any], keys: Collection[str]) -> dict[str, Any]:
    return {key: value for key, value in leaves(settings) if key in keys}
