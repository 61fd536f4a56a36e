"""Sweeps as the pages show them."""

from __future__ import annotations

from collections import Counter
from typing import Any

from passingloop.report.search.search_content import Cost, Rung, SearchPoint, SearchProgress, order


def made_point(name: str, *values: float | None, lr: float = 1e-4, **fields: Any) -> SearchPoint:
    """A point that has `values` at the first rungs."""
    usual: dict[str, Any] = {"rung": len(values) - 1 if values else None, "standing": "done" if values else "new"}
    return SearchPoint(
        run=f"lr/{name}",
        settings={"optim.lr": lr, "trainer.seed": 1},
        values=dict(enumerate(values)),
        **usual | fields,
    )


def made_search(*points: SearchPoint, rungs: int = 3, **fields: Any) -> SearchProgress:
    """A sweep by loss of `points`, whose rungs agree with them as far as the pages compare them."""
    usual: dict[str, Any] = {
        "name": "lr",
        "kind": "halving",
        "metric": "validation/loss",
        "lower_is_better": True,
        "eta": 3,
        "max_points": None,
        "is_over": False,
        "parameters": ("optim.lr", "trainer.seed"),
        "rungs": tuple(made_rung(points, number, rungs) for number in range(rungs)),
        "points": tuple(sorted(points, key=lambda point: order(point, lower_is_better=True))),
        "cost": Cost(hours=0.5, gpu_hours=1.0, full_hours=2.0, full_gpu_hours=4.0),
    }
    return SearchProgress(**usual | fields)


def made_rung(points: tuple[SearchPoint, ...], number: int, rungs: int) -> Rung:
    told = [point for point in points if point.rung is not None and point.rung >= number]
    values = sorted(value for point in told if (value := point.values.get(number)) is not None)
    return Rung(
        number=number,
        fraction=3.0 ** (number - rungs + 1),
        step=20 * 3**number,
        told=len(told),
        went_on=sum(point.rung != number for point in told),
        counts=Counter(point.standing for point in told if point.rung == number),
        failed=sum(number in point.values and point.values[number] is None for point in told),
        best=values[0] if values else None,
        values=tuple(values),
    )
