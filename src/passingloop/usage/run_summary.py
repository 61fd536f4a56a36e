"""The figures and the advice on one run, as flat values: what W&B shows beside its metrics."""

from __future__ import annotations

from passingloop.report.usage.figure_sums import totals
from passingloop.report.usage.usage_figures import Figures
from passingloop.rundir.directory import RunDir
from passingloop.usage.joining import joined
from passingloop.usage.run_records import read_run
from passingloop.usage.usage_report import advice_on

PREFIX = "report/"


def run_summary(run: RunDir, now: float) -> dict[str, float | str]:
    """The metrics of the run's result, its figures, and the advice on it, from its directory alone.

    A figure that is not known is left out.

    Raises:
        OtherVersion: a file of it has another format version.
        OSError, ValueError: a file of it cannot be read.
    """
    record = read_run(run, 0.0, now)
    if record is None:
        return {}
    mfu = record.mfu
    figures = totals(joined([], [record], 0.0, now, {}), None, {} if mfu is None else {record.name: mfu})
    known = {f"{PREFIX}{name}": value for name, value in figure_values(figures).items() if value is not None}
    said = advice_on(record, now)
    sentences = {"advice": "\n".join(advice.sentence for advice in said)} if said else {}
    rules = {"advice_rules": ", ".join(advice.rule for advice in said)} if said else {}
    metrics = (record.result or {}).get("metrics", {})
    return {**metrics, f"{PREFIX}attempts": len(record.attempts), **known, **sentences, **rules}


def figure_values(figures: Figures) -> dict[str, float | None]:
    """The figures by their names in the summary, without `PREFIX`."""
    hours, energy = figures.gpu_hours, figures.energy
    return {
        "gpu_hours": hours.allocated,
        "wasted_gpu_hours": hours.wasted,
        "queued_hours": figures.queued_hours,
        "goodput": figures.goodput,
        "ettr": figures.ettr.value if figures.ettr else None,
        "gpu_busy": figures.busy_share,
        "mfu": figures.mfu,
        "energy_kwh": energy.kwh if energy else None,
        "requeues": sum(figures.requeues.values()),
        **{f"requeues_{cause}": count for cause, count in figures.requeues.items()},
    }
