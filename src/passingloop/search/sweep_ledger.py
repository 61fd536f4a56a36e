"""``<run_root>/<name>/sweep.jsonl``, the ledger of a search: one JSON object per line, oldest first.

    {"event": "search", "version": 1, "search": "halving", "metric": "validation/loss", "lower_is_better": true,
     "eta": 3, "rungs": 3, "width": 27, "max_points": null}      the rules; the newest line holds
    {"event": "point", "run": "0a1b2c3d4e5f", "values": {"optim.lr": 0.0003}, "settings": {...}}
                                                                 a point was added, or a command has other settings for
                                                                 it, such as `resources`; `values` tell it apart
    {"event": "told", "run": "0a1b2c3d4e5f", "rung": 1, "fraction": 0.3333, "events": 4, "by": "job 118_3"}
                                                                 it was decided that it trains to a rung
    {"event": "value", "run": "0a1b2c3d4e5f", "rung": 0, "step": 40, "value": 0.412, "why": null}
                                                                 its value there; null if it has none, and `why`
    {"event": "left", "run": "0a1b2c3d4e5f", "rung": 0}          the job that trained it to a rung ends without training
                                                                 it further

Each line has a `time`, too. `events` says how many the ledger of the run had when the line was written: while none of
the later ones is a launch, the decision has not been carried out, and whoever decides next does so. Lines are written
by the holder of the lock of the user's submissions (`passingloop.rundir.submission.Home.lock`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from passingloop.config.build import build
from passingloop.config.settings import RunConfig
from passingloop.files import append_json_lines, check_version, read_json_lines
from passingloop.rundir.directory import RunDir
from passingloop.rundir.record import current_time
from passingloop.rundir.submission import Home
from passingloop.search.rungs import Move, Point, Search
from passingloop.track.metrics_file import json_value, number_of

VERSION = 1
"""Format version of the file."""

COMMAND = "a command"
"""Who has decided, if it was not a job."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Told:
    """A decision that a point trains to a rung."""

    rung: int
    events: int
    """In the ledger of the run, when that was decided."""
    by: str
    """Who has decided: ``job 118_3``, or `COMMAND`."""
    time: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """What the ledger has about a point."""

    run: str
    values: Mapping[str, Any]
    """The settings that tell it from other points, by key."""
    settings: Mapping[str, Any]
    """All of them, as `passingloop.config.build.to_plain` gives them."""
    told: tuple[Told, ...] = ()
    reported: Mapping[int, Reported]
    """By rung, the newest."""
    left: frozenset[int] = frozenset()
    """The rungs after which the job that had trained it there ended; of a rung that is tried again, not that job."""

    @property
    def newest(self) -> Told | None:
        """What it was told last."""
        return self.told[-1] if self.told else None

    @property
    def has_arrived(self) -> bool:
        """Whether it has a value at the rung to which it was told to train."""
        reported = self.reported.get(self.newest.rung) if self.newest else None
        return reported is not None and reported.value is not None

    @property
    def point(self) -> Point:
        return Point(
            run=self.run,
            told=self.newest.rung if self.newest else None,
            values={rung: reported.value for rung, reported in self.reported.items()},
        )

    def with_told(self, told: Told) -> Entry:
        """With one more decision. One about a rung at which it has failed gives it another chance, in another job."""
        kept = {rung: at for rung, at in self.reported.items() if rung != told.rung or at.value is not None}
        return replace(self, told=(*self.told, told), reported=kept, left=self.left - {told.rung})

    def without_values(self) -> Entry:
        """With the steps alone, as points are compared by another metric from now on."""
        why = "Its value of the new metric has not been looked up yet."
        return replace(self, reported={rung: replace(at, value=None, why=why) for rung, at in self.reported.items()})

    @property
    def config(self) -> RunConfig:
        """`settings` as a checked configuration.

        Raises:
            ConfigError: this version of passingloop does not accept them.
        """
        return build(RunConfig, self.settings)


@dataclass(frozen=True, kw_only=True, slots=True)
class Reported:
    """The value of a point at a rung."""

    step: int
    value: float | None
    why: str | None = None
    """Why it has none, as a sentence."""
    time: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class SweepLedger:
    """What the file has."""

    search: Search
    max_points: int | None
    """How many points may be added in all, where they are drawn one after another."""
    entries: Mapping[str, Entry]
    """By the name of the run's folder, in the order in which they were added."""

    @property
    def points(self) -> list[Point]:
        return [entry.point for entry in self.entries.values()]


@dataclass(frozen=True, slots=True)
class SweepFile:
    """The ledger of the search of an experiment; `folder` is that of its runs."""

    folder: Path

    @classmethod
    def of_run(cls, run: RunDir) -> SweepFile:
        """That of the experiment to which `run` belongs, whether it has one or not."""
        return cls(run.path.parent)

    @property
    def path(self) -> Path:
        return self.folder / "sweep.jsonl"

    def run(self, name: str) -> RunDir:
        """The run of a point, which may be in the archive."""
        archive = Home.for_user(self.folder.parent).archive
        here, archived = RunDir(self.folder / name), RunDir(archive / self.folder.name / name)
        return archived if archived.record.exists() and not here.record.exists() else here

    def read(self) -> SweepLedger | None:
        """What the file has; None if there is none. Lines that another version knows are passed over.

        Raises:
            OtherVersion: it has another format version.
        """
        search: Search | None = None
        most: int | None = None
        entries: dict[str, Entry] = {}
        for row in read_json_lines(self.path):
            match row:
                case {"event": "search", "version": version}:
                    remedy = "Use the version of passingloop that began this sweep, or give it another name."
                    check_version(str(self.path), version, VERSION, remedy)
                    if search and search.metric != row["metric"]:
                        entries = {name: entry.without_values() for name, entry in entries.items()}
                    search, most = _search(row), row["max_points"]
                case {"event": "point", "run": name}:
                    before = entries.get(name) or Entry(run=name, values={}, settings={}, reported={})
                    entries[name] = replace(before, values=row["values"], settings=row["settings"])
                case {"event": "told", "run": name} if name in entries:
                    told = Told(rung=row["rung"], events=row["events"], by=row["by"], time=row["time"])
                    entries[name] = entries[name].with_told(told)
                case {"event": "left", "run": name} if name in entries:
                    entries[name] = replace(entries[name], left=entries[name].left | {row["rung"]})
                case {"event": "value", "run": name} if name in entries:
                    value = number_of(row["value"])
                    new = Reported(step=row["step"], value=value, why=row["why"], time=row["time"])
                    entries[name] = replace(entries[name], reported={**entries[name].reported, row["rung"]: new})
        return SweepLedger(search=search, max_points=most, entries=entries) if search else None

    def write_search(self, search: Search, max_points: int | None) -> None:
        """Append the rules of the search."""
        row = {"search": search.kind, "metric": search.metric, "lower_is_better": search.lower_is_better}
        row |= {"eta": search.eta, "rungs": search.rungs, "width": search.width, "max_points": max_points}
        self._append("search", [{"version": VERSION, **row}])

    def write_points(self, added: Iterable[Entry]) -> None:
        """Append points."""
        rows = ({"run": entry.run, "values": entry.values, "settings": entry.settings} for entry in added)
        self._append("point", rows)

    def write_told(self, search: Search, told: Mapping[Move, int], by: str) -> None:
        """Append decisions, with how many events the ledger of each run has."""
        rows = (
            {"run": move.run, "rung": move.rung, "fraction": round(search.fraction(move.rung), 4)}
            | {"events": events, "by": by}
            for move, events in told.items()
        )
        self._append("told", rows)

    def write_values(self, values: Mapping[Move, Reported]) -> None:
        """Append the values of points at rungs."""
        rows = (
            {"run": at.run, "rung": at.rung, "step": new.step, "value": json_value(new.value), "why": new.why}
            for at, new in values.items()
        )
        self._append("value", rows)

    def write_left(self, run: RunDir, rung: int) -> None:
        """Append that the job that has trained a point to `rung` ends."""
        self._append("left", [{"run": run.path.name, "rung": rung}])

    def _append(self, event: str, rows: Iterable[Mapping[str, Any]]) -> None:
        time = current_time()
        if lines := [{"event": event, "time": time, **row} for row in rows]:
            append_json_lines(self.path, lines)


def signature_of(name: str) -> str:
    """The signature of the run in a folder of this name; one that was trained again is in ``<signature>.2``."""
    return name.partition(".")[0]


def _search(row: Mapping[str, Any]) -> Search:
    return Search(
        kind=row["search"],
        metric=row["metric"],
        lower_is_better=row["lower_is_better"],
        eta=row["eta"],
        rungs=row["rungs"],
        width=row["width"],
    )
