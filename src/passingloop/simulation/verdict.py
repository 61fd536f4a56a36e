"""Whether a policy has reached its objectives on a trace, and by how much it missed them. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from passingloop.policy.entities import Policy
from passingloop.policy.objectives.objective import Objective
from passingloop.report.simulation.figure_words import amount, difference
from passingloop.report.simulation.named_figures import NamedFigure, named_figures
from passingloop.report.simulation.policy_figures import Judgement, PolicyFigures

NO_FIGURE = "the trace has nothing that it is about"
NO_OTHER = "it compares with another policy, and --against names none"
NO_OTHER_FIGURE = "the other policy has no such figure"


def judgements(policy: Policy, figures: PolicyFigures, against: PolicyFigures | None) -> tuple[Judgement, ...]:
    """What became of each objective of the policy, in the order of the file."""
    own, other = named_figures(figures), named_figures(against) if against else None
    return tuple(_judgement(one, policy.place("objectives", one.key), own, other) for one in policy.objectives)


def _judgement(
    objective: Objective, place: str, own: Mapping[str, NamedFigure], other: Mapping[str, NamedFigure] | None
) -> Judgement:
    judged = Judgement(objective=f"{objective.key}: {objective.written}", place=place, found="", is_met=None)
    limit, why = _limit(objective, other)
    found = own.get(objective.key)
    if found is None:
        return replace(judged, why=NO_FIGURE)
    words = amount(found.value, found.unit)
    judged = replace(judged, found=words if found.has_ended else f"at least {words}, which had not ended")
    if limit is None:
        return replace(judged, why=why)
    is_most = objective.measure.is_most
    excess = found.value - limit if is_most else limit - found.value
    wanted = f"{'at most' if is_most else 'at least'} {amount(limit, found.unit)}"
    missed_by = difference(excess, found.unit) if excess > 0 else ""
    return replace(judged, is_met=excess <= 0 and found.has_ended, wanted=wanted, missed_by=missed_by)


def _limit(objective: Objective, other: Mapping[str, NamedFigure] | None) -> tuple[float | None, str]:
    """The limit in the unit of the figure; or None, and why there is none."""
    if not objective.is_beside:
        return objective.limit, ""
    if other is None:
        return None, NO_OTHER
    beside = other.get(objective.key)
    if beside is None or not beside.has_ended:
        return None, NO_OTHER_FIGURE
    return beside.value + objective.limit, ""
