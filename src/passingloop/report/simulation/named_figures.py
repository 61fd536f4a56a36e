"""The figures of a policy by the names that objectives have for them: ``interactive.wait_p95``."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from passingloop.figures import Unit
from passingloop.report.simulation.policy_figures import JobFigures, PolicyFigures, Wait


@dataclass(frozen=True, slots=True)
class NamedFigure:
    """A figure that is known."""

    value: float
    unit: Unit
    has_ended: bool = True
    """False for a wait that had not ended when the replay did: it is known to be at least this long."""


def named_figures(figures: PolicyFigures) -> dict[str, NamedFigure]:
    """All of those that are known. Accounts are below ``accounts``, what begins with another name is of that QOS."""
    found = {
        "utilisation": NamedFigure(figures.utilisation, "share"),
        "jain": _known(figures.jain, "index"),
        "lowest_share": _known(figures.lowest_share, "share"),
        **dict(_of_jobs(figures.totals)),
    }
    for qos in figures.groups["qos"]:
        found |= {f"{qos.name}.{name}": one for name, one in _of_jobs(qos)}
    for account in figures.groups["account"]:
        found |= {f"accounts.{account.name}.{name}": one for name, one in _of_jobs(account)}
    for share in figures.shares:
        found[f"accounts.{share.account}.share"] = _known(share.got if share.counts else None, "share")
    return {name: one for name, one in found.items() if one}


def _of_jobs(jobs: JobFigures) -> Iterator[tuple[str, NamedFigure | None]]:
    if waits := jobs.waits:
        yield "wait_median", _wait(waits.median)
        yield "wait_p95", _wait(waits.p95)
        yield "wait_p99", _wait(waits.p99)
    yield "never_started", NamedFigure(float(jobs.never_started), "count")
    yield "lost_share", _known(jobs.lost_share, "share")


def _wait(wait: Wait) -> NamedFigure:
    return NamedFigure(wait.seconds, "seconds", wait.has_ended)


def _known(value: float | None, unit: Unit) -> NamedFigure | None:
    return None if value is None else NamedFigure(value, unit)
