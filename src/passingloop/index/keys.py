"""The keys of ``passingloop list``: fields of every run, its settings, and its metrics."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from passingloop.config.build import did_you_mean
from passingloop.errors import ConfigError
from passingloop.index.catalogue import Entry
from passingloop.index.conditions import is_missing, predicate, sort_key
from passingloop.index.entry_facts import shown_progress
from passingloop.index.expression import Expression, keys
from passingloop.rundir.directory import owner_name
from passingloop.rundir.record import iso_time
from passingloop.status.state import State
from passingloop.track.metrics_file import main_metric, number_of


@dataclass(frozen=True, slots=True)
class Listed:
    """A run that may be listed, and how it stands."""

    entry: Entry
    now: float
    """Seconds since the epoch."""
    asked_state: State | None = None
    """None for a run whose state is final, which is in its entry."""

    @property
    def state(self) -> State:
        if self.asked_state is not None:
            return self.asked_state
        assert self.entry.facts.rest, "only the state of a run that may be at work has to be asked for"
        return self.entry.facts.rest.state

    @property
    def metrics(self) -> Mapping[str, Any]:
        if self.asked_state is None:
            return self.entry.recorded_metrics
        return shown_progress(self.state, self.entry.facts.progress)[2]


def _user(listed: Listed) -> str:
    return owner_name(listed.entry.owner)


def _created(listed: Listed) -> str:
    return listed.entry.facts.created or iso_time(listed.entry.facts.order / 1e9)


def _gpu_hours(listed: Listed) -> float | None:
    facts = listed.entry.facts
    seconds = facts.gpu_seconds
    if seconds is None or facts.running_since is None or listed.state.kind != "running":
        return None if seconds is None else seconds / 3600
    if facts.running_gpus is None:
        return None
    return (seconds + facts.running_gpus * max(0.0, listed.now - facts.running_since)) / 3600


def _since(listed: Listed) -> str | None:
    return None if listed.state.since is None else iso_time(listed.state.since)


def _age(listed: Listed) -> float:
    return listed.now - datetime.fromisoformat(_created(listed)).timestamp()


def _job_names(job_id: str | None) -> list[str]:
    return [] if job_id is None else list(dict.fromkeys((job_id, job_id.partition("_")[0])))


def _metric(listed: Listed) -> Any:
    name = main_metric(listed.metrics)
    return None if name is None else number_of(listed.metrics[name])


Reader = Callable[[Listed], Any]
"""Gives a run's value for a key; None if it has none."""

FIELDS: Mapping[str, Reader] = {
    "run": lambda listed: str(listed.entry.run.path),
    "name": lambda listed: listed.entry.name,
    "signature": lambda listed: listed.entry.signature,
    "user": _user,
    "state": lambda listed: listed.state.kind,
    "confirmed": lambda listed: listed.state.confirmed,
    "cause": lambda listed: listed.state.cause,
    "message": lambda listed: listed.state.message,
    "launcher": lambda listed: listed.state.launcher,
    "job_id": lambda listed: listed.state.job_id,
    "nodes": lambda listed: list(listed.state.nodes),
    "gpus": lambda listed: listed.state.gpus,
    "attempts": lambda listed: listed.entry.facts.attempts,
    "step": lambda listed: shown_progress(listed.state, listed.entry.facts.progress)[0],
    "steps": lambda listed: shown_progress(listed.state, listed.entry.facts.progress)[1],
    "metric": _metric,
    "metrics": lambda listed: dict(listed.metrics),
    "gpu_hours": _gpu_hours,
    "created": _created,
    "age": _age,
    "since": _since,
    "tags": lambda listed: list(listed.entry.facts.marks.tags),
    "note": lambda listed: listed.entry.facts.marks.note,
}
"""What every run has, by key. `metric` is the one that ``passingloop status`` shows."""

IN_CONDITIONS: Mapping[str, Reader] = {
    "run": lambda listed: [str(listed.entry.run.path), listed.entry.run.short_name],
    "job_id": lambda listed: _job_names(listed.state.job_id),
}
"""What a run is known by besides: as tables show it, and the job array that its job is a task of."""

ALIASES = {"tag": "tags", "job": "job_id", "gpu-hours": "gpu_hours"}

SPLITS = ("train", "validation", "test")


class Keys:
    """The keys that runs have."""

    def __init__(self, entries: Sequence[Entry]) -> None:
        self._entries = entries

    @functools.cached_property
    def settings(self) -> set[str]:
        bases = {id(entry.settings.base): entry.settings.base for entry in self._entries}
        return {key for base in bases.values() for key in base}

    @functools.cached_property
    def metrics(self) -> set[str]:
        return {name for entry in self._entries for name in entry.recorded_metrics}

    def predicate(self, condition: Expression) -> Callable[[Listed], bool]:
        """The function that says of a run whether it fulfils the condition.

        Raises:
            ConfigError: no run has one of its keys, or a key is compared with what cannot be its value.
        """
        readers = {key: IN_CONDITIONS.get(ALIASES.get(key, key)) or self.reader(key) for key in keys(condition)}
        users = {owner_name(entry.owner) for entry in self._entries}
        holds = predicate(condition, users, {key for key in readers if self._is_metric(key)})
        return lambda listed: holds(lambda key: readers[key](listed))

    def reader(self, key: str) -> Reader:
        """The function that gives a run's value for `key`; None if the run has none.

        Raises:
            ConfigError: no run has such a key.
        """
        if key in FIELDS or key in ALIASES:
            return FIELDS[ALIASES.get(key, key)]
        if key in self.settings:
            return lambda listed: listed.entry.settings.get(key)
        if self._is_metric(key):
            return lambda listed: number_of(listed.metrics.get(key))
        raise ConfigError(
            f"{key} is no field of a run, and none of the {len(self._entries)} runs here has such a setting or metric."
            f"{self._nearest(key)} Keys are such as state, optim.lr or test/accuracy; `passingloop list --keys` lists "
            "them."
        )

    def _is_metric(self, key: str) -> bool:
        if key in FIELDS or key in ALIASES or key in self.settings:
            return key == "metric"
        return key in self.metrics or self._may_be_metric(key)

    def _may_be_metric(self, key: str) -> bool:
        """Whether it looks like a metric of data of which no run has any metric yet."""
        split = key.partition("/")[0]
        return "/" in key and split in SPLITS and not any(name.startswith(f"{split}/") for name in self.metrics)

    def _nearest(self, key: str) -> str:
        known = [*FIELDS, *ALIASES, *sorted(self.settings), *sorted(self.metrics)]
        ends = [name for name in known if name.endswith((f".{key}", f"/{key}"))]
        if ends:
            return f" Did you mean {' or '.join(ends[:3])}?"
        return did_you_mean(key, known)


def ordered(runs: Sequence[Listed], order: Sequence[tuple[Reader, bool]]) -> list[Listed]:
    """The runs sorted by these keys, the most important first; runs without a value come last.

    Args:
        order: each key with whether the highest value comes first.
    """
    result = list(runs)
    for read, is_descending in reversed(order):
        values = [(read(run), run) for run in result]
        present = [pair for pair in values if not is_missing(pair[0])]
        present.sort(key=lambda pair: sort_key(pair[0]), reverse=is_descending)
        result = [run for _, run in present] + [run for value, run in values if is_missing(value)]
    return result
