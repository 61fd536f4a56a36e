"""What the files of a run say, as far as commands about many runs need it.

Of a damaged file, or one of another version, nothing is known. That is no error: one such run does not keep the others
from being listed.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import MISSING, asdict, dataclass, field, fields, replace
from datetime import datetime
from typing import Any

from passingloop.config.build import leaves
from passingloop.errors import PassingloopError
from passingloop.index import run_marks
from passingloop.index.run_marks import Marks
from passingloop.rundir import ledger, record
from passingloop.rundir.directory import RunDir
from passingloop.rundir.events import Start
from passingloop.rundir.ledger import Ledger
from passingloop.status.rest import Rest, rest_of
from passingloop.status.state import State
from passingloop.track.metrics_file import named_values, newest_rows
from passingloop.track.speed import known_figures

UNREADABLE = (OSError, ValueError, KeyError, TypeError, AttributeError, PassingloopError)
"""What comes of files that are damaged, of another version, or closed to us."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Progress:
    """How far a run has come, without the steps of attempts that have written no metrics."""

    attempt: int | None = None
    """The attempt that has written the last metrics; None for a run with a result."""
    step: int | None = None
    """The step of these metrics; of a run with a result its last."""
    steps: int | None = None
    """How many there will be: known beforehand only if they are set, rather than epochs."""
    metrics: dict[str, Any] = field(default_factory=dict)
    """The newest but those of training, such as ``test/accuracy``. Those that are not finite are strings."""
    throughput: dict[str, Any] = field(default_factory=dict)
    """Of the result, or else of the last steps, by the names in `passingloop.track.speed.FIGURES`."""


NO_PROGRESS, NO_MARKS = Progress(), Marks()


@dataclass(frozen=True, kw_only=True, slots=True)
class Facts:
    """What the files of a run say. Times are in seconds since the epoch."""

    order: int = 0
    """By which runs are put in the order of their creation: a time in nanoseconds. The record is written once more by
    the first attempt, the configuration is not."""
    created: str | None = None
    """UTC, as ISO 8601; None if the record cannot be read."""
    jobs: tuple[str, ...] = ()
    """The Slurm jobs of all launches, oldest first."""
    attempts: int = 0
    gpu_seconds: float | None = None
    """GPU time of the attempts whose end is recorded; None if the GPUs of one are not known."""
    running_since: float | None = None
    """The start of an attempt that has no end; it may have been killed."""
    running_gpus: int | None = None
    progress: Progress = NO_PROGRESS
    rest: Rest | None = None
    """None if the run may be at work."""
    marks: Marks = NO_MARKS


def read_facts(run: RunDir) -> tuple[Facts, dict[str, Any]]:
    """The facts of `run`, and its settings by their full names, such as ``optim.lr``."""
    content: dict[str, Any] = {}
    history, finished = Ledger(), run.result.exists()
    with suppress(*UNREADABLE):
        content = record.read(run)
    with suppress(*UNREADABLE):
        history = ledger.read(run)
    settings = content.get("config")
    settings = dict(leaves(settings)) if isinstance(settings, dict) else {}
    facts = Facts(
        order=_creation_time(run),
        created=_time_or_none(content.get("created")),
        jobs=tuple(dict.fromkeys(launch.job_id for launch in history.launches if launch.job_id)),
        attempts=len(history.events_of(Start)),
        progress=read_progress(run, finished=finished, steps=settings.get("trainer.steps")),
    )
    facts = _with_gpu_time(facts, history)
    with suppress(*UNREADABLE):
        facts = replace(facts, rest=rest_of(run, history, finished=finished))
    with suppress(*UNREADABLE):
        facts = replace(facts, marks=run_marks.read(run))
    return facts, settings


def read_progress(run: RunDir, *, finished: bool, steps: int | None) -> Progress:
    """How far the run has come.

    Args:
        steps: its setting `trainer.steps`.
    """
    if finished:
        with suppress(*UNREADABLE):
            result = run.read_result() or {}
            return Progress(
                step=result["steps"],
                steps=result["steps"],
                metrics=dict(result["metrics"]),
                throughput=known_figures(result.get("throughput", {})),
            )
        return Progress()
    newest = newest_rows(run.metrics)
    metrics = named_values(newest.validated) if newest.validated else {}
    if newest.last is None:
        return Progress(steps=steps, metrics=metrics)
    return Progress(
        attempt=newest.last["attempt"],
        step=newest.last["step"],
        steps=steps,
        metrics=metrics,
        throughput=known_figures(newest.trained or {}),
    )


def shown_progress(state: State, progress: Progress) -> tuple[int | None, int | None, dict[str, Any]]:
    """Steps done, steps in all, and the newest metrics but those of training, of a run in this state."""
    if state.kind == "completed":
        return progress.step, progress.steps, progress.metrics
    if state.attempt is None:
        return None, None, {}
    here = progress.step or 0 if progress.attempt == state.attempt else 0
    return max(here, state.step or 0), progress.steps, progress.metrics


def to_json(facts: Facts) -> dict[str, Any]:
    """`facts` without what is as usual; times, states and all as JSON has them."""
    content = _unusual(facts)
    if facts.rest:
        content["rest"] = {**_unusual(facts.rest), "state": _unusual(facts.rest.state)}
        del content["rest"]["state"]["run"]
    if "progress" in content:
        content["progress"] = _unusual(facts.progress)
    if "marks" in content:
        content["marks"] = asdict(facts.marks)
    return content


def from_json(run: RunDir, content: dict[str, Any]) -> Facts:
    """What `to_json` made of the facts of `run`.

    Raises:
        KeyError, TypeError: it is something else.
    """
    known = dict(content)
    if "jobs" in known:
        known["jobs"] = tuple(known["jobs"])
    if rest := known.get("rest"):
        state = rest["state"]
        if "nodes" in state:
            state = {**state, "nodes": tuple(state["nodes"])}
        known["rest"] = Rest(state=State(run=run, **state), job_id=rest["job_id"], newest=rest["newest"])
    if progress := known.get("progress"):
        known["progress"] = Progress(**progress)
    if marks := known.get("marks"):
        known["marks"] = Marks(tuple(marks["tags"]), marks["note"])
    return Facts(**known)


def _unusual(thing: Any) -> dict[str, Any]:
    """The fields of a dataclass that do not have their default, except for None, which no field needs to say."""
    values = ((each.name, getattr(thing, each.name), each.default) for each in fields(thing))
    return {name: value for name, value, usual in values if usual is MISSING or value != usual}


def _time_or_none(text: Any) -> str | None:
    with suppress(ValueError, TypeError):
        datetime.fromisoformat(text)
        return str(text)
    return None


def _creation_time(run: RunDir) -> int:
    for file in (run.config, run.record):
        with suppress(OSError):
            return file.stat().st_mtime_ns
    return 0


def _with_gpu_time(facts: Facts, history: Ledger) -> Facts:
    seconds: float | None = 0.0
    open_start: Start | None = None
    for start in history.events_of(Start):
        end, gpus = history.end(start.attempt), None if start.gpus is None else start.gpus * len(start.nodes)
        if end is None:
            open_start = start
        else:
            seconds = None if seconds is None or gpus is None else seconds + gpus * (end.timestamp - start.timestamp)
    facts = replace(facts, gpu_seconds=seconds)
    if open_start is None:
        return facts
    gpus = None if open_start.gpus is None else open_start.gpus * len(open_start.nodes)
    return replace(facts, running_since=open_start.timestamp, running_gpus=gpus)
