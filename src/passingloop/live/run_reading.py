"""What the directories of runs say, read again only where it may have changed."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from passingloop.errors import OtherVersion
from passingloop.live.drawing import Series, mean
from passingloop.live.run_row import Curves, Ended, Progress
from passingloop.rundir import record
from passingloop.rundir.directory import RunDir
from passingloop.rundir.samples import NodeSamples, Sample, recent_samples, sample_files
from passingloop.slurm.polling.polled_queue import Snapshot
from passingloop.status.query import states_by
from passingloop.status.state import State
from passingloop.track.metrics_file import main_metric, named_values, recent_metrics
from passingloop.vitals import pulse

FindRuns = Callable[[], Mapping[RunDir, Ended | None]]
"""Returns the runs, and of those that have ended what is known of them; None where a directory is to be read."""

SEARCH_SECONDS = 20.0
"""So often it is looked for runs that are new, and for such that go on although they had ended."""

CURVE_SECONDS = 1800.0
"""The part of the past that the use of GPUs is shown for."""

BUCKET = 15
"""Seconds that a value of that stands for."""

POINTS = 120
"""Values of a curve, at most."""

Stamp = tuple[tuple[int, int], ...]


@dataclass(slots=True)
class _Known:
    """A run, as it was read last."""

    state: State
    stamp: Stamp
    snapshot: Snapshot | None = None
    length: tuple[int | None, float | None] | None = None
    """Steps and epochs of its configuration."""
    progress: Progress = field(default_factory=Progress)
    progress_stamp: Stamp = ()
    curves: Curves = field(default_factory=Curves)
    curves_stamp: Stamp = ()
    is_resting: bool = False
    """Whether its directory was not read for its state, as it was known to have ended."""
    ended_progress: Progress | None = None


class RunReader:
    """Reads the runs that `find_runs` finds. Of thousands that have ended hardly anything is read, or read again."""

    def __init__(self, find_runs: FindRuns) -> None:
        self._find_runs = find_runs
        self._known: dict[RunDir, _Known] = {}
        self._searched = -math.inf

    def states(self, snapshot: Snapshot, now: float, *, all_anew: bool = False) -> list[State]:
        """The states of the runs, with the jobs in `snapshot`.

        Args:
            now: in seconds, by any clock that only goes forward.
            all_anew: read everything again.
        """
        search = all_anew or now - self._searched >= SEARCH_SECONDS
        if search:
            self._searched = now
            found = self._find_runs()
            resting = {
                run: _resting(ended, self._known.get(run))
                for run, ended in found.items()
                if ended and ended.rest.holds(snapshot)
            }
            seen = {run: known for run, known in self._known.items() if run in found and not known.is_resting}
            self._known = {**seen, **resting}
            new = [run for run in found if run not in self._known]
        else:
            new = []
        stale = [run for run, known in self._known.items() if all_anew or self._is_stale(run, known, snapshot, search)]
        changed = [*new, *stale]
        stamps = {run: _stamp(run) for run in changed}
        for run, state in zip(changed, states_by(changed, snapshot), strict=True):
            known = self._known.get(run)
            if known is None:
                self._known[run] = _Known(state=state, stamp=stamps[run], snapshot=snapshot)
            else:
                known.state, known.stamp, known.snapshot = state, stamps[run], snapshot
        return [known.state for known in self._known.values()]

    def _is_stale(self, run: RunDir, known: _Known, snapshot: Snapshot, search: bool) -> bool:
        """Whether its state may be another by now. One that has ended is looked at only if all runs are."""
        if known.is_resting:
            return False
        if not known.state.is_active:
            return search and _stamp(run) != known.stamp
        in_queue = known.state.launcher == "slurm"
        return not in_queue or known.snapshot is not snapshot or _stamp(run) != known.stamp

    def progress(self, state: State) -> Progress:
        """How far the run is."""
        run, known = state.run, self._known[state.run]
        if known.is_resting and known.ended_progress:
            return known.ended_progress
        stamp = (*known.stamp, *_stamps(run.pulse, run.metrics, run.result))
        if stamp != known.progress_stamp:
            known.length = known.length or _length(run)
            known.progress, known.progress_stamp = _progress(state, known.length), stamp
        return known.progress

    def curves(self, state: State) -> Curves:
        """The values of the last minutes; empty for a run that does not train."""
        run, known = state.run, self._known[state.run]
        if state.kind != "running" or state.attempt is None:
            return Curves()
        files, now = sample_files(run, state.attempt), time.time()
        stamp = (*_stamps(run.metrics, *files), (int(now // BUCKET), 0))
        if stamp != known.curves_stamp:
            with suppress(OtherVersion):
                samples = recent_samples(run, state.attempt, CURVE_SECONDS) if files else []
                known.curves = _curves(recent_metrics(run.metrics), samples, now)
            known.curves_stamp = stamp
        return known.curves


def _resting(ended: Ended, before: _Known | None) -> _Known:
    if before and before.is_resting and before.state == ended.rest.state:
        return before
    return _Known(state=ended.rest.state, stamp=(), is_resting=True, ended_progress=ended.progress)


def _progress(state: State, length: tuple[int | None, float | None]) -> Progress:
    run = state.run
    if state.kind == "completed":
        result = _result(run)
        steps = result.get("steps") if isinstance(result.get("steps"), int) else None
        return Progress(step=steps, steps=steps, metric=result_metric(result.get("metrics", {})))
    if state.attempt is None:
        return Progress()
    rows = recent_metrics(run.metrics)
    beat = pulse.read(run, state.attempt)
    trained = [row for row in rows if row["split"] == "train"]
    steps, epochs = length
    if steps is None and epochs and trained and trained[-1].get("epoch"):
        steps = max(1, round(epochs * round(trained[-1]["step"] / trained[-1]["epoch"])))
    here = [row["step"] for row in rows if row["attempt"] == state.attempt]
    tested = [row for row in rows if row["split"] != "train"]
    begun = state.step or 0
    step = max([begun, *here[-1:], *([beat.step] if beat else [])])
    spent = beat.seconds.training + beat.seconds.saving if beat else 0.0
    loss = trained[-1].get("loss") if trained else None
    return Progress(
        step=step,
        steps=steps,
        saved_step=beat.saved_step if beat else None,
        pace=(beat.step - begun) / spent if beat and spent > 0 and beat.step > begun else None,
        newest=_time_of_pulse(run) if beat else None,
        loss=_number(loss),
        metric=result_metric(named_values(tested[-1])) if tested else None,
    )


def _curves(rows: Sequence[dict[str, Any]], nodes: Sequence[NodeSamples], now: float) -> Curves:
    has_gpus = any(node.devices for node in nodes)
    return Curves(loss=_loss_series(rows), busy=_busy_series(nodes, has_gpus, now), device="GPU" if has_gpus else "CPU")


def _loss_series(rows: Sequence[dict[str, Any]]) -> Series:
    trained = [row for row in rows if row["split"] == "train"][-POINTS:]
    if len(trained) < 2:
        return Series(tuple(_number(row.get("loss")) for row in trained))
    distance = max(1, trained[-1]["step"] - trained[-2]["step"])
    return Series(tuple(_number(row.get("loss")) for row in trained), trained[0]["step"] // distance)


def _busy_series(nodes: Sequence[NodeSamples], has_gpus: bool, now: float) -> Series:
    """The mean of all GPUs on all nodes, or of the CPUs, every `BUCKET` seconds until now; absent is absent."""
    shares: dict[int, list[float]] = {}
    for node in nodes:
        for sample in node.samples:
            values = [gpu.busy for gpu in sample.gpus if gpu.busy is not None] if has_gpus else []
            if not has_gpus and sample.cpus is not None and node.cpus:
                values = [min(1.0, sample.cpus / node.cpus)]
            for number in _buckets(sample):
                shares.setdefault(number, []).extend(values)
    last = max([int(now // BUCKET), *shares])
    first = max(last - POINTS + 1, min(shares, default=last))
    means = tuple(mean(shares.get(number, ())) for number in range(first, last + 1))
    return Series(means, first) if any(each is not None for each in means) else Series()


def _buckets(sample: Sample) -> range:
    """Those that the sample stands for: the one of its time, and before it as many as it is long."""
    newest = int(sample.time // BUCKET)
    return range(newest - min(POINTS, max(1, round(sample.seconds / BUCKET))) + 1, newest + 1)


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) else None


def _length(run: RunDir) -> tuple[int | None, float | None]:
    try:
        trainer = record.read(run)["config"]["trainer"]
        return trainer.get("steps"), trainer.get("epochs")
    except (OtherVersion, OSError, ValueError, KeyError, TypeError, AttributeError):  # one such run hides no other
        return None, None


def _result(run: RunDir) -> dict[str, Any]:
    try:
        result = run.read_result()
    except (OSError, ValueError):
        return {}
    return result if isinstance(result, dict) else {}


def result_metric(metrics: Any) -> tuple[str, float] | None:
    """The name and value of the figure of a run that is shown where there is room for one."""
    name = main_metric(metrics) if isinstance(metrics, dict) else None
    if name is None or not isinstance(metrics[name], int | float):
        return None
    return name.rpartition("/")[2], float(metrics[name])


def _time_of_pulse(run: RunDir) -> float | None:
    try:
        return run.pulse.stat().st_mtime
    except OSError:
        return None


def _stamp(run: RunDir) -> Stamp:
    """Changes if its ledger or its result does."""
    return _stamps(run.attempts, run.result)


def _stamps(*paths: Any) -> Stamp:
    return tuple(_file_stamp(path) for path in paths)


def _file_stamp(path: Any) -> tuple[int, int]:
    try:
        status = path.stat()
    except OSError:
        return 0, 0
    return status.st_mtime_ns, status.st_size
