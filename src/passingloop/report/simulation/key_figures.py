"""The figures by which two policies are compared first, and their differences."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from passingloop.figures import Unit
from passingloop.report.simulation.figure_words import amount, difference
from passingloop.report.simulation.named_figures import NamedFigure, named_figures
from passingloop.report.simulation.policy_figures import PolicyFigures, Simulation

TITLES: dict[str, tuple[str, bool]] = {
    "utilisation": ("GPUs held by jobs", False),
    "wait_median": ("wait, median", True),
    "wait_p95": ("wait, 95 %", True),
    "wait_p99": ("wait, 99 %", True),
    "never_started": ("jobs that never started", True),
    "lost_share": ("lost to preemption", True),
    "jain": ("Jain's index of shares", False),
    "lowest_share": ("lowest share got", False),
}
"""Figures of all jobs: what they are called, and whether less is better."""

SAME = {"seconds": 1.5, "share": 0.0005, "index": 0.0005, "count": 0.5}
"""Differences that say nothing: Slurm records whole seconds, and looks for jobs to start once in several."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Compared:
    """A figure of both policies."""

    name: str
    title: str
    unit: Unit
    own: NamedFigure | None
    other: NamedFigure | None
    is_less_better: bool

    @property
    def change(self) -> float | None:
        """By how much it is more than the other policy's; None if one is not known, or had not ended."""
        if not self.own or not self.other or not self.own.has_ended or not self.other.has_ended:
            return None
        return self.own.value - self.other.value

    @property
    def is_better(self) -> bool | None:
        """None if neither is."""
        if self.change is None or abs(self.change) < SAME[self.unit]:
            return None
        return (self.change < 0) == self.is_less_better


def key_figures(simulation: Simulation) -> list[Compared]:
    """The figures of `TITLES`, and the wait of interactive jobs where there are such."""
    own = named_figures(simulation.figures)
    other = named_figures(simulation.against) if simulation.against else {}
    titles = dict(_titles(simulation.figures))
    return [
        Compared(
            name=name,
            title=title,
            unit=one.unit,
            own=own.get(name),
            other=other.get(name),
            is_less_better=is_less_better,
        )
        for name, (title, is_less_better) in titles.items()
        if (one := own.get(name) or other.get(name))
    ]


def _titles(figures: PolicyFigures) -> Iterator[tuple[str, tuple[str, bool]]]:
    for name, title in TITLES.items():
        yield name, title
        if name == "wait_p99" and figures.group("qos", "interactive"):
            yield "interactive.wait_p95", ("wait of interactive, 95 %", True)


def differences(simulation: Simulation) -> dict[str, float]:
    """For each named figure that both policies have: this one's less the other's."""
    if simulation.against is None:
        return {}
    own, other = named_figures(simulation.figures), named_figures(simulation.against)
    both = {name: (own[name], other[name]) for name in own if name in other}
    return {name: a.value - b.value for name, (a, b) in both.items() if a.has_ended and b.has_ended}


def named_words(figure: NamedFigure | None) -> str:
    """``> 3 h`` for a wait that had not ended."""
    words = amount(figure.value if figure else None, figure.unit if figure else "count")
    return words if figure is None or figure.has_ended else f"> {words}"


def change_words(compared: Compared) -> str:
    """``+1.2 points``, ``-3 h 20 min``, ``same``; empty if there is nothing to compare."""
    change = compared.change
    if change is None:
        return ""
    if abs(change) < SAME[compared.unit]:
        return "same"
    return f"{'+' if change > 0 else '-'}{difference(abs(change), compared.unit)}"
