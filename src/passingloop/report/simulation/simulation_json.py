"""A simulation as JSON. Times are seconds of the trace, shares are of 1; what is not known is null."""

from __future__ import annotations

import dataclasses
from typing import Any

from passingloop.report.simulation.key_figures import differences
from passingloop.report.simulation.named_figures import named_figures
from passingloop.report.simulation.policy_figures import SOON, PolicyFigures, Simulation, Waits

VERSION = 1


def as_json(simulation: Simulation) -> dict[str, Any]:
    """`named` has the figures by the names that objectives have for them, `differences` those of the two policies."""
    return {
        "version": VERSION,
        "trace": simulation.trace,
        "saving": {one.name: {"seconds": one.seconds, "source": one.source} for one in simulation.saving},
        "left_out": list(simulation.left_out),
        "policy": _figures(simulation.figures),
        "against": _figures(simulation.against) if simulation.against else None,
        "differences": differences(simulation),
        "objectives": [dataclasses.asdict(one) | {"sentence": one.sentence} for one in simulation.judgements],
        "accepted": simulation.is_accepted,
    }


def _figures(figures: PolicyFigures) -> dict[str, Any]:
    fields = dataclasses.asdict(figures)
    fields["file"] = fields.pop("policy")
    fields["totals"]["waits"] = _waits(figures.totals.waits)
    fields["lowest_share"] = figures.lowest_share
    fields["groups"] = {
        kind: [dataclasses.asdict(one) | {"waits": _waits(one.waits)} for one in groups]
        for kind, groups in figures.groups.items()
    }
    fields["named"] = {
        name: {"value": one.value, "unit": one.unit, "has_ended": one.has_ended}
        for name, one in named_figures(figures).items()
    }
    return fields


def _waits(waits: Waits | None) -> dict[str, Any] | None:
    """The shares that started soon by the seconds they are about."""
    if waits is None:
        return None
    soon = {f"{limit:.0f}": part for limit, part in zip(SOON, waits.soon, strict=True)}
    return dataclasses.asdict(waits) | {"soon": soon}
