"""The pages of runs, and their sweeps: attempts, curves, settings, metrics."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

from passingloop.config.build import leaves
from passingloop.plan import LEARNED
from passingloop.report.usage.allocation_use import Use
from passingloop.report.usage.attempt_time import AttemptTime
from passingloop.report.usage.content import (
    Advice,
    AttemptPart,
    RunPage,
    Sweep,
    SweepPoint,
    SweepRung,
)
from passingloop.report.usage.usage_figures import Figures
from passingloop.rundir.directory import RunDir
from passingloop.search.rungs import ranked
from passingloop.search.sweep_ledger import SweepFile, SweepLedger
from passingloop.status.state import Kind, Observations, state_of
from passingloop.track.metrics_file import named_values, newest_rows
from passingloop.usage.curves import metric_curves, resource_curves
from passingloop.usage.run_records import UNREADABLE, RunRecord


def run_page(record: RunRecord, figures: Figures, said: Sequence[Advice], *, with_curves: bool) -> RunPage:
    """The page of a run.

    Args:
        figures: within the report's period.
        with_curves: whether metrics and samples are read.
    """
    return RunPage(
        name=record.name,
        path=str(record.run.path),
        experiment=record.experiment,
        user=record.user,
        created=record.created,
        state=directory_state(record),
        metrics=metrics(record),
        throughput=record.throughput,
        settings=learned_settings(record),
        figures=figures,
        attempts=tuple(_attempt(record, attempt) for attempt in record.attempts),
        curves=tuple(metric_curves(record.run.metrics)) if with_curves else (),
        resources=tuple(resource_curves(record.run)) if with_curves else (),
        advice=tuple(said),
    )


def directory_state(record: RunRecord) -> Kind:
    """The state of a run as its directory tells it: the queue is not asked, whose answer would be old in a page."""
    trains = bool(record.attempts) and record.attempts[-1].is_running
    seen = Observations(finished=record.result is not None, is_locked=trains, jobs=None)
    kind = state_of(record.run, record.ledger, seen).kind
    if kind == "running" and not trains:
        return "lost"
    return "cancelled" if kind == "pending" and record.ledger.is_cancel_requested else kind


def metrics(record: RunRecord) -> dict[str, float]:
    """Of the result; of an unfinished run those of its newest validation. Without those that are no finite numbers."""
    found: Mapping[str, Any] = (record.result or {}).get("metrics", {})
    if record.result is None:
        validated = newest_rows(record.run.metrics).validated
        found = named_values(validated) if validated else {}
    return {name: value for name, value in found.items() if isinstance(value, int | float) and math.isfinite(value)}


def learned_settings(record: RunRecord) -> dict[str, Any]:
    """The settings that shape what is learned, by their full names; secrets are references there."""
    config = record.record["config"]
    return dict(leaves({section: config[section] for section in LEARNED if section in config}))


def _attempt(record: RunRecord, attempt: AttemptTime) -> AttemptPart:
    start, end = record.start(attempt.attempt), record.ledger.end(attempt.attempt)
    uses: dict[Use, float] = {}
    for use, seconds in attempt.pieces():
        uses[use] = uses.get(use, 0.0) + seconds
    return AttemptPart(
        attempt=attempt.attempt,
        started=attempt.started,
        ended=None if attempt.is_running else attempt.ended,
        start_step=start.start_step,
        end_step=end.end_step if end else None,
        cause=attempt.cause,
        message=end.message if end else None,
        nodes=tuple(start.nodes),
        gpus=None if start.gpus is None else start.gpus * len(start.nodes),
        job_id=start.job_id,
        seconds=uses,
    )


def sweeps(records: Iterable[RunRecord], gpu_hours: Mapping[str, float]) -> Iterator[Sweep]:
    """The experiments with several runs whose settings differ, by name."""
    members: dict[str, list[RunRecord]] = defaultdict(list)
    for record in records:
        members[record.experiment].append(record)
    for name, runs in sorted(members.items()):
        settings = {run.name: learned_settings(run) for run in runs}
        names = dict.fromkeys(key for values in settings.values() for key in values)
        varied = tuple(key for key in names if len({repr(values.get(key)) for values in settings.values()}) > 1)
        if not varied:
            continue
        points = tuple(
            SweepPoint(
                run=run.name,
                overrides={key: settings[run.name].get(key) for key in varied},
                metrics=metrics(run),
                is_complete=run.result is not None,
                gpu_hours=gpu_hours.get(run.name, 0.0),
            )
            for run in runs
        )
        measured = tuple(dict.fromkeys(metric for point in points for metric in point.metrics))
        search = _search_of(runs[0].run)
        yield Sweep(
            name=name,
            parameters=varied,
            metrics=measured,
            points=points,
            compared_by=search.search.metric if search else None,
            rungs=tuple(_rungs(search)) if search else (),
        )


def _search_of(run: RunDir) -> SweepLedger | None:
    """The search to which a run belongs, if it has rungs and can be read."""
    with suppress(*UNREADABLE):
        found = SweepFile.of_run(run).read()
        return found if found and found.search.rungs > 1 else None
    return None


def _rungs(history: SweepLedger) -> Iterator[SweepRung]:
    for number in range(history.search.rungs):
        told = [point for point in history.points if point.told is not None and point.told >= number]
        there = ranked(history.search, told, number)
        yield SweepRung(
            number=number,
            fraction=history.search.fraction(number),
            told=len(told),
            done=len(there),
            went_on=sum(point.told != number for point in told),
            failed=sum(number in point.values for point in told) - len(there),
            best=there[0].values[number] if there else None,
        )
