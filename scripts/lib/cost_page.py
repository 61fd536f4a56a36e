"""Write the tables of docs/cost.md from prices, assumptions and measured results: `python scripts/lib/cost_page.py`.

With `--check` it writes nothing and exits 1 if the page is not up to date. The text between the tables is kept.
"""

from __future__ import annotations

import json
import math
import re
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from passingloop.report.usage.prices import Prices
from passingloop.usage.price_file import read_prices

ROOT = Path(__file__).parents[2]
PAGE, INPUTS, PRICES = ROOT / "docs" / "cost.md", ROOT / "docs" / "cost.toml", ROOT / "examples" / "prices.toml"
KINDS = {"on_premises": "on-premises", "on_demand": "on-demand", "spot": "spot"}
BETWEEN = re.compile(r"(<!-- begin (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)
HOUR = 3600.0
INTERVALS = (1, 2, 4, 8, 24)
"""Hours between two interruptions, for the table of losses."""

ALLOCATED = (0.2, 0.3, 0.5, 0.7, 0.9)
"""Parts of the hours in which one's own GPUs are allocated, for the table of what they cost then."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Measured:
    """What interruptions and saves cost, in seconds."""

    restart: float
    """From the start of the process to the first new step."""
    save: float
    """For which a save holds up training."""

    def lost_if_asked(self, hours: float, replaced: float) -> float:
        """The part of paid time that is lost if each interruption is announced: no step is lost."""
        return (self.restart + replaced) / (hours * HOUR)

    def lost_if_killed(self, hours: float, replaced: float) -> float:
        """The same without a warning: half an interval between saves is lost as well.

        Young (1974): with T between saves, C for one and M between kills, T = sqrt(2 C M) is best.
        """
        between = hours * HOUR
        interval = math.sqrt(2 * self.save * between)
        return self.save / interval + (interval / 2 + self.restart + replaced) / between

    def lost_if_saved_hourly(self, hours: float, replaced: float) -> float:
        """The same if a program saves once an hour only."""
        return self.save / HOUR + (HOUR / 2 + self.restart + replaced) / (hours * HOUR)


def main() -> int:
    """Write the page, or compare it. Returns the exit code."""
    text = PAGE.read_text(encoding="utf-8")
    made = page(text)
    if "--check" in sys.argv:
        return int(made != text)
    PAGE.write_text(made, encoding="utf-8")
    return 0


def page(text: str) -> str:
    """The page with its tables made anew."""
    inputs = tomllib.loads(INPUTS.read_text(encoding="utf-8"))
    prices, measured = read_prices(PRICES), measured_costs()
    tables = {
        "prices": _prices(inputs, prices),
        "month": _month(inputs, prices, measured),
        "losses": _losses(inputs, measured),
        "own": _own(inputs, prices),
    }
    return BETWEEN.sub(lambda part: part[1] + "\n".join(tables[part[2]]) + "\n" + part[3], text)


def measured_costs() -> Measured:
    """From the newest results."""
    restart, saving = _results("restart"), _results("saving")
    return Measured(restart=restart["median_seconds"]["passingloop"], save=saving["stall_seconds"]["asynchronous"])


def _results(name: str) -> dict[str, Any]:
    newest = max(ROOT.glob(f"docs/results/*-{name}.json"))
    results: dict[str, Any] = json.loads(newest.read_text(encoding="utf-8"))
    return results


def _prices(inputs: dict[str, Any], prices: Prices) -> Iterator[str]:
    yield f"| GPU | kind | {prices.note.currency} per GPU-hour | read | where |\n|---|---|---|---|---|"
    sources = {(source["gpu"], source["kind"]): source for source in inputs["sources"]}
    for gpu, by_kind in prices.per_gpu_hour.items():
        for kind, price in by_kind.items():
            source = sources.get((gpu, kind))
            where = f"[{source['text']}]({source['url']})" if source else "assumed or calculated, see the file"
            read = source["date"].isoformat() if source and isinstance(source["date"], date) else "–"
            yield f"| {gpu} | {KINDS[kind]} | {price:.2f} | {read} | {where} |"


def _month(inputs: dict[str, Any], prices: Prices, measured: Measured) -> Iterator[str]:
    useful = inputs["gpus"] * inputs["hours"] * inputs["allocated"]
    by_kind = prices.of_type(inputs["gpu"])
    yield "| | " + " | ".join(KINDS.values()) + " |\n|---|---|---|---|"
    lost = {
        kind: measured.lost_if_asked(
            inputs["hours_between_interruptions"][kind], inputs["seconds_until_replaced"][kind]
        )
        for kind in KINDS
    }
    paid = {kind: useful / (1 - lost[kind]) for kind in KINDS}
    cost = {kind: paid[kind] * by_kind[kind] for kind in KINDS}
    rows = {
        "useful GPU-hours": dict.fromkeys(KINDS, f"{useful:,.0f}"),
        "lost to interruptions": {kind: f"{100 * lost[kind]:.2f} %" for kind in KINDS},
        "GPU-hours paid": {kind: f"{paid[kind]:,.0f}" for kind in KINDS},
        "price of one": {kind: f"{by_kind[kind]:.2f}" for kind in KINDS},
        "**the month**": {kind: f"**{cost[kind]:,.0f}**" for kind in KINDS},
        "for each of the team": {kind: f"{cost[kind] / inputs['people']:,.0f}" for kind in KINDS},
        "a useful GPU-hour": {kind: f"{cost[kind] / useful:.2f}" for kind in KINDS},
    }
    for name, cells in rows.items():
        yield f"| {name} | " + " | ".join(cells.values()) + " |"


def _losses(inputs: dict[str, Any], measured: Measured) -> Iterator[str]:
    replaced = inputs["seconds_until_replaced"]["spot"]
    yield "| hours between interruptions | asked to stop | killed | killed, with a save an hour |\n|---|---|---|---|"
    for hours in INTERVALS:
        ways = (measured.lost_if_asked, measured.lost_if_killed, measured.lost_if_saved_hourly)
        yield f"| {hours} | " + " | ".join(f"{100 * way(hours, replaced):.1f} %" for way in ways) + " |"


def _own(inputs: dict[str, Any], prices: Prices) -> Iterator[str]:
    by_kind = prices.of_type(inputs["gpu"])
    yield "| of the hours allocated | " + " | ".join(f"{100 * part:.0f} %" for part in ALLOCATED) + " |"
    yield "|---|" + "---|" * len(ALLOCATED)
    per_hour = by_kind["on_premises"] * inputs["allocated"]
    yield "| an allocated GPU-hour, on-premises | " + " | ".join(f"{per_hour / part:.2f}" for part in ALLOCATED) + " |"
    shares = [f"than {KINDS[kind]} from {100 * per_hour / by_kind[kind]:.0f} %" for kind in ("on_demand", "spot")]
    yield f"\nOne's own machines are cheaper {', '.join(shares)} of the hours."


if __name__ == "__main__":
    raise SystemExit(main())
