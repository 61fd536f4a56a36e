"""What the runs of a search have reached: their values at rungs, or why they have none."""

from __future__ import annotations

from collections.abc import Sequence

from passingloop.config.build import did_you_mean
from passingloop.config.settings import RunConfig
from passingloop.rundir import ledger
from passingloop.rundir.directory import RunDir
from passingloop.rundir.events import Cancel, End, Event, Queued, Start
from passingloop.rundir.ledger import Ledger
from passingloop.search.rungs import DECIDING, Search
from passingloop.search.sweep_ledger import Entry, Reported, SweepFile, Told
from passingloop.status.state import State
from passingloop.track.metrics_file import json_value, latest_rows, named_values, read_metrics

NO_METRIC = "There is no"
"""How it begins why a run has no value that has measured other metrics."""

CANCELLED = Reported(step=0, value=None, why="It was cancelled.")


def may_have_news(entry: Entry) -> bool:
    """Whether the run of a point has to be looked at: it is not where it was told to train to, or lacks a value."""
    if entry.newest is None or entry.has_arrived:
        return any(reported.value is None for reported in entry.reported.values())
    return True


def new_reports(run: RunDir, search: Search, entry: Entry, state: State | None) -> dict[int, Reported]:
    """By rung what the run of a point has reached, as far as the ledger of the search does not have it.

    Args:
        state: of the run; None if the point has its value at the rung to which it was told to train.
    """
    found = {
        rung: value_at(run, search.metric, reported.step)
        for rung, reported in entry.reported.items()
        if reported.value is None and reported.step  # the metric is another one now, or was missing
    }
    if entry.newest and state and (new := _report(run, search, entry.newest, state)):
        found[entry.newest.rung] = new
    return {rung: new for rung, new in found.items() if not _is_known(entry.reported.get(rung), new)}


def is_launched(events: Sequence[Event], told: Told) -> bool:
    """Whether a job was submitted or an attempt started after the decision `told`; `events` are those of the run."""
    return any(isinstance(event, Queued | Start) for event in events[told.events :])


def newest_pause(events: Sequence[Event]) -> End | None:
    """The end of a run's newest attempt, if it has paused and nothing has begun since."""
    newest = next((event for event in reversed(events) if isinstance(event, Queued | Start | End)), None)
    return newest if isinstance(newest, End) and newest.cause == "paused" else None


def is_undecided(run: RunDir, config: RunConfig) -> bool:
    """Whether the job that has trained `run` to a rung of its search has not decided yet what follows."""
    sweep = SweepFile.of_run(run).read() if config.sweep.search in DECIDING else None
    entry = sweep.entries.get(run.path.name) if sweep else None
    if entry is None or entry.newest is None:
        return False
    is_below = entry.point.is_open and not is_launched(ledger.read(run).events, entry.newest)
    return entry.newest.rung - is_below not in entry.left


def seconds_to_rung(past: Ledger, search: Search, rung: int) -> float:
    """About how long an attempt takes that trains a run from the rung below to `rung`, by its attempts until now."""
    spent = [end.seconds for end in past.events_of(End)]
    trained = sum(each.training + each.saving for each in spent)
    starting = max((each.starting for each in spent), default=0.0)
    return starting + trained * (search.fraction(rung) / search.fraction(rung - 1) - 1)


def value_at(run: RunDir, metric: str, step: int) -> Reported:
    """The value of `metric` in the validation after `step`, or in the last one before."""
    rows = [row for row in latest_rows(read_metrics(run.metrics, training_rows=1)) if row["split"] == "validation"]
    named = [named_values(row) for row in rows if row["step"] <= step] or [named_values(row) for row in rows[:1]]
    if not named:
        return Reported(step=step, value=None, why="Nothing was validated.")
    if metric not in named[-1]:
        return Reported(
            step=step,
            value=None,
            why=f"{NO_METRIC} {metric}. Measured were {', '.join(named[-1])}.{did_you_mean(metric, named[-1], 0.8)}",
        )
    return Reported(step=step, value=float(named[-1][metric]))


def _report(run: RunDir, search: Search, told: Told, state: State) -> Reported | None:
    """How the run has come to the rung of `told`, or why it will not; None if neither is known."""
    result, past = run.read_result(), ledger.read(run)
    if result:
        return value_at(run, search.metric, max(1, round(search.fraction(told.rung) * result["steps"])))
    events, launched = past.events[told.events :], is_launched(past.events, told)
    if any(isinstance(event, Cancel) for event in events) and past.is_cancel_requested:
        return CANCELLED
    if launched and (pause := newest_pause(events)):
        return value_at(run, search.metric, pause.end_step)
    if state.is_active or not state.confirmed:
        return None
    if launched:
        why = state.decision_reason or state.message or ""
        return Reported(step=0, value=None, why=f"It is {state.kind}. {why}".rstrip())
    return None


def _is_known(before: Reported | None, now: Reported) -> bool:
    return before is not None and _content(before) == _content(now)


def _content(reported: Reported) -> tuple[object, ...]:
    """Equal for equal reports: a NaN is not equal to another one."""
    return reported.step, json_value(reported.value), reported.why
