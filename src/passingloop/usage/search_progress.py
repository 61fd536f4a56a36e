"""How a sweep stands, from its ledger, the directories of its runs, and their jobs in Slurm."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace

from passingloop.config.build import leaves
from passingloop.pending.wording import count_text
from passingloop.report.search.search_content import (
    Rung,
    SearchPoint,
    SearchProgress,
    Standing,
    is_value,
    order,
)
from passingloop.report.usage.figure_sums import groups
from passingloop.rundir import ledger
from passingloop.rundir.directory import RunDir
from passingloop.search import stalled_search
from passingloop.search.findings import is_launched
from passingloop.search.rungs import Search
from passingloop.search.sweep_ledger import Entry, SweepFile, SweepLedger
from passingloop.status.query import shown_states
from passingloop.status.state import State
from passingloop.track.metrics_file import lower_is_better, main_metric
from passingloop.usage.joining import joined
from passingloop.usage.run_pages import sweeps
from passingloop.usage.run_records import UNREADABLE, RunRecord, read_run
from passingloop.usage.search_cost import HOUR, last_step, search_cost

STANDING: Mapping[str, Standing] = {"completed": "done", "running": "trains", "pending": "waits"}
"""What a point does by the state of its run; of other states nothing trains it."""

ITS_TURN = "A command trains one after another."

UNDECIDED = "It has come to its rung, and what follows has not been decided yet."


def search_progress(file: SweepFile, runs: Sequence[RunDir]) -> SearchProgress | None:
    """The sweep whose ledger is `file`; without a ledger, that of `runs` if their settings differ, else None.

    Args:
        runs: those in the folder of `file` that have begun.

    Raises:
        OtherVersion: the ledger has another format version.
    """
    history = file.read()
    records = {run.path.name: record for run in runs if (record := _readable(run))}
    hours = _gpu_hours(records.values())
    states = {state.run.path.name: state for state in shown_states(runs)}
    if history is None:
        return _plain(file.folder.name, records, states, hours)
    points = [
        _point(entry, each, states.get(name), records.get(name), hours.get(each, 0.0))
        for name, entry in history.entries.items()
        for each in [f"{file.folder.name}/{name}"]
    ]
    points = _compared(points, history)
    if any(state.kind == "running" and state.launcher == "shell" for state in states.values()):
        points = [
            replace(point, standing="waits", message=ITS_TURN) if point.standing == "stopped" else point
            for point in points
        ]
    search = history.search
    ranked = sorted(points, key=lambda point: order(point, lower_is_better=search.lower_is_better))
    is_over, still = stalled_search.is_over(history), stalled_search.stands_still(history, states)
    steps = [_rung_step(history, number) for number in range(search.rungs)]
    levels = tuple(_rung(search, number, points, steps[number]) for number in range(search.rungs))
    return SearchProgress(
        name=file.folder.name,
        kind=search.kind,
        metric=search.metric,
        lower_is_better=search.lower_is_better,
        eta=search.eta if search.rungs > 1 else None,
        max_points=history.max_points,
        is_over=is_over,
        parameters=tuple(points[0].settings) if points else (),
        rungs=levels,
        points=tuple(ranked),
        cost=search_cost(points, records, _full_steps(search, steps)),
        waits=() if is_over else tuple(_waits(search, levels, points, still=still)),
        stands_still=still,
    )


def _plain(
    name: str, records: Mapping[str, RunRecord], states: Mapping[str, State], hours: Mapping[str, float]
) -> SearchProgress | None:
    """A sweep without a search: its runs have one rung, the end."""
    found = next(sweeps(sorted(records.values(), key=lambda record: record.created), hours), None)
    if found is None:
        return None
    metric = main_metric(found.metrics)
    is_lower = bool(metric and lower_is_better(metric))
    points = []
    for each in found.points:
        signature = each.run.rpartition("/")[2]
        state = states[signature]
        value = each.metrics.get(metric) if metric and each.is_complete else None
        points.append(
            SearchPoint(
                run=each.run,
                settings=each.overrides,
                rung=0,
                values={0: value} if each.is_complete else {},
                standing=STANDING.get(state.kind, "stopped"),
                message=_message(state),
                step=last_step(records.get(signature)),
                hours=_hours(records.get(signature)),
                gpu_hours=each.gpu_hours,
            )
        )
    search = Search(kind="grid", metric=metric or "", lower_is_better=is_lower, eta=2, rungs=1, width=1)
    level = _rung(search, 0, points, None)
    return SearchProgress(
        name=name,
        kind="grid",
        metric=metric,
        lower_is_better=is_lower,
        eta=None,
        max_points=None,
        is_over=all(point.standing == "done" for point in points),
        parameters=found.parameters,
        rungs=(level,),
        points=tuple(sorted(points, key=lambda point: order(point, lower_is_better=is_lower))),
        cost=search_cost(points, records, None),
        waits=tuple(_open_sentences(points)),
    )


def _point(entry: Entry, name: str, state: State | None, record: RunRecord | None, gpu_hours: float) -> SearchPoint:
    standing, has_come = _standing(entry, state), _has_come(entry, state)
    return SearchPoint(
        run=name,
        settings=entry.values,
        rung=entry.point.told,
        values=dict(entry.point.values),
        standing="waits" if has_come else standing,
        message=_why(entry) or (UNDECIDED if has_come else _message(state)),
        step=last_step(record),
        hours=_hours(record),
        gpu_hours=gpu_hours,
    )


def _compared(points: Iterable[SearchPoint], history: SweepLedger) -> list[SearchPoint]:
    """The points with the values of all settings in which some differ: points that came later may differ in more."""
    keys = tuple(dict.fromkeys(key for entry in history.entries.values() for key in entry.values))
    every = (dict(leaves(entry.settings)) for entry in history.entries.values())
    return [
        replace(point, settings={key: settings.get(key) for key in keys})
        for point, settings in zip(points, every, strict=True)
    ]


def _standing(entry: Entry, state: State | None) -> Standing:
    point = entry.point
    if point.told is None:
        return "new"
    if not point.is_open:
        return "done"
    found = STANDING.get(state.kind, "stopped") if state else "stopped"
    return "waits" if found == "done" else found  # it has come there, and its value has not been written yet


def _has_come(entry: Entry, state: State | None) -> bool:
    """Whether the run has come to its rung, and nobody has taken down its value."""
    if state is None or entry.newest is None or not entry.point.is_open:
        return False
    has_come = state.kind == "completed" or (state.kind == "paused" and state.confirmed)
    return has_come and is_launched(ledger.read(state.run).events, entry.newest)


def _why(entry: Entry) -> str | None:
    """Why it has no value at the last rung to which it was told to train."""
    reported = entry.reported.get(entry.newest.rung) if entry.newest else None
    return reported.why if reported else None


def _message(state: State | None) -> str | None:
    """Why nothing trains the run, or its job waits."""
    if state is None or state.kind in ("completed", "running"):
        return None
    return state.decision_reason if state.action == "stop" else state.message


def _rung(search: Search, number: int, points: Sequence[SearchPoint], step: int | None) -> Rung:
    told = [point for point in points if point.rung is not None and point.rung >= number]
    here = [point for point in told if point.rung == number]
    values = [value for point in told if (value := point.values.get(number)) is not None and is_value(value)]
    failed = sum(number in point.values and not is_value(point.values[number]) for point in told)
    ranked = sorted(values, reverse=not search.lower_is_better)
    return Rung(
        number=number,
        fraction=search.fraction(number),
        step=step,
        told=len(told),
        went_on=len(told) - len(here),
        counts=Counter(point.standing for point in here),
        failed=failed,
        best=ranked[0] if ranked else None,
        values=tuple(ranked),
    )


def _rung_step(history: SweepLedger, number: int) -> int | None:
    """The step at which most points ended the rung."""
    steps = Counter(
        entry.reported[number].step
        for entry in history.entries.values()
        if number in entry.reported and entry.reported[number].value is not None
    )
    return steps.most_common(1)[0][0] if steps else None


def _full_steps(search: Search, steps: Sequence[int | None]) -> float | None:
    """The steps of a whole training, as far as the highest rung that was reached tells."""
    known = [(step, search.fraction(number)) for number, step in enumerate(steps) if step]
    return known[-1][0] / known[-1][1] if known else None


def _hours(record: RunRecord | None) -> float:
    return sum(attempt.seconds for attempt in record.attempts) / HOUR if record else 0.0


def _gpu_hours(records: Iterable[RunRecord]) -> dict[str, float]:
    """By run, from their directories alone."""
    now = time.time()
    found = groups(joined([], list(records), 0.0, now, {}), "run", None, {})
    return {group.name: group.figures.gpu_hours.allocated for group in found}


def _readable(run: RunDir) -> RunRecord | None:
    with suppress(*UNREADABLE):
        return read_run(run, 0.0, time.time())
    return None


def _waits(search: Search, levels: Sequence[Rung], points: Sequence[SearchPoint], *, still: bool) -> Iterator[str]:
    """What has to happen for the sweep to go on."""
    if still and all(point.standing != "stopped" for point in points):
        yield stalled_search.STILL
        return
    if search.kind == "halving":
        for level in levels[:-1]:
            missing = sum(level.counts.get(kind, 0) for kind in ("trains", "waits", "stopped"))
            if missing:
                have = "has" if missing == 1 else "have"
                yield (
                    f"Who goes on from rung {level.number + 1} is decided once {count_text(missing, 'more point')} "
                    f"{have} a value there."
                )
                break
    new = sum(point.standing == "new" for point in points)
    if new:
        yield f"{count_text(new, 'point begins', 'points begin')} when there is room: {search.width} train at once."
    yield from _open_sentences(points)


def _open_sentences(points: Sequence[SearchPoint]) -> Iterator[str]:
    """About points in the queue, and those that nothing trains, grouped by why."""
    waiting = Counter(point.message for point in points if point.standing == "waits")
    for message, count in waiting.most_common(3):
        where = "" if message in (ITS_TURN, UNDECIDED) else " in the queue"
        said = f": {message.rstrip('.')}" if message else ""
        yield f"{count_text(count, 'point waits', 'points wait')}{where}{said}."
    stopped = [point for point in points if point.standing == "stopped"]
    if stopped:
        why = next((point.message for point in stopped if point.message), None)
        yield (
            f"{count_text(len(stopped), 'point is', 'points are')} to train on, and nothing does so"
            f"{f' ({why.rstrip(chr(46))})' if why else ''}. The command of the sweep, given again, continues "
            f"{'it' if len(stopped) == 1 else 'them'}."
        )
