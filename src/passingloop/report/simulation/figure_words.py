"""Figures of a simulation in words."""

from __future__ import annotations

from collections.abc import Sequence

from passingloop.figures import Unit, duration
from passingloop.report.simulation.policy_figures import SavingFigure, SavingName, Wait

ABSENT = "-"

SAVING_TITLES: dict[SavingName, str] = {
    "save_s": "to save when preempted",
    "restart_s": "to start again",
    "save_every_s": "between saves",
}


def amount(value: float | None, unit: Unit) -> str:
    """``2 min 5 s``, ``93.4 %``, ``0.962``, ``1,204``; a dash for what is not known."""
    if value is None:
        return ABSENT
    match unit:
        case "seconds":
            return _time(value)
        case "share":
            return share(value)
        case "index":
            return f"{value:.3f}"
        case "count":
            return f"{value:,.0f}"


def difference(value: float, unit: Unit) -> str:
    """As `amount`, of a difference that is no less than 0; shares differ by points."""
    return f"{100 * value:.2g} points" if unit == "share" else amount(value, unit)


def share(value: float | None) -> str:
    """Of 1, in per cent, with one decimal, or two digits where it is small."""
    if value is None:
        return ABSENT
    return f"{100 * value:.2g} %" if 0 < value < 0.001 else f"{100 * value:.1f} %"


def wait(value: Wait | None) -> str:
    """``> 3 h`` for one that had not ended."""
    if value is None:
        return ABSENT
    return _time(value.seconds) if value.has_ended else f"> {_time(value.seconds)}"


def _time(seconds: float) -> str:
    return "0 s" if seconds < 0.05 else duration(seconds)


def hours(value: float) -> str:
    """GPU-hours, with a decimal where they are few."""
    return f"{value:,.1f}" if value < 100 else f"{value:,.0f}"


def saving_text(figures: Sequence[SavingFigure]) -> str:
    """``10 s to save when preempted (drill.json), …``."""
    return ", ".join(f"{_time(one.seconds)} {SAVING_TITLES[one.name]} ({one.source})" for one in figures)
