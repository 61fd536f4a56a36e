"""What GPU-hours and energy cost. Pure: the file is read by `passingloop.usage.price_file`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from passingloop.report.usage.content import PriceNote
from passingloop.report.usage.usage_figures import Energy, Money, PriceKind

JOULES_PER_KWH = 3.6e6

UNKNOWN_TYPE = ""
"""In sums by type: GPUs whose type neither Slurm nor a sample tells."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Prices:
    """Prices of GPU-hours by type of GPU, and what energy stands for."""

    note: PriceNote
    gpu: str | None = None
    """The type of GPUs of which it is not known."""
    per_gpu_hour: Mapping[str, Mapping[PriceKind, float]] = field(default_factory=dict)
    """By type, in lower case."""
    pue: float | None = None
    """Power usage effectiveness: the energy of the data centre over that of its computers (ISO/IEC 30134-2)."""
    grid_grams_per_kwh: float | None = None
    """Grams of CO2 equivalent for a kWh of electricity."""

    def of_type(self, gpu_type: str) -> Mapping[PriceKind, float]:
        """The prices of a type as Slurm or the driver names it: the longest name of the file that is in it counts.

        ``NVIDIA H200`` and ``h200_1g.18gb`` have the prices of ``h200``.
        """
        wanted = (gpu_type or self.gpu or "").lower()
        names = [name for name in self.per_gpu_hour if name in wanted]
        return self.per_gpu_hour[max(names, key=len)] if names else {}

    def money(self, hours: Mapping[str, float]) -> dict[PriceKind, Money]:
        """What GPU-hours by type cost, by each kind of price that is known for any of them."""
        amounts: dict[PriceKind, list[float]] = {}
        for gpu_type, spent in hours.items():
            for kind, price in self.of_type(gpu_type).items():
                total = amounts.setdefault(kind, [0.0, 0.0])
                total[0] += spent * price
                total[1] += spent
        return {kind: Money(amount=amount, gpu_hours=spent) for kind, (amount, spent) in amounts.items()}


def energy(joules: float, gpu_hours: float, prices: Prices | None) -> Energy:
    """The energy of GPUs that have used `joules` in `gpu_hours`, with what the data centre adds to it."""
    kwh = joules / JOULES_PER_KWH * ((prices and prices.pue) or 1.0)
    grams = prices.grid_grams_per_kwh if prices else None
    return Energy(kwh=kwh, co2_kg=None if grams is None else kwh * grams / 1000, gpu_hours=gpu_hours)
