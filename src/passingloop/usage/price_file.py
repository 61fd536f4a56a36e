"""The file of prices: what GPU-hours cost, and what a kWh stands for. `examples/prices.toml` is one to start from."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

from passingloop.config.bounds import at_least, limited, matches
from passingloop.config.build import build
from passingloop.errors import ConfigError
from passingloop.report.usage.content import PriceNote
from passingloop.report.usage.prices import Prices
from passingloop.report.usage.usage_figures import PriceKind


@dataclass(frozen=True, kw_only=True, slots=True)
class GpuPrice:
    """What an hour of a GPU costs. None is not known."""

    on_premises: float | None = limited(at_least(0), None)
    """With all that belongs to it: purchase over its life, power, cooling, room, people."""
    on_demand: float | None = limited(at_least(0), None)
    spot: float | None = limited(at_least(0), None)

    @property
    def by_kind(self) -> dict[PriceKind, float]:
        """The prices that are known."""
        prices: dict[PriceKind, float | None] = {
            "on_premises": self.on_premises,
            "on_demand": self.on_demand,
            "spot": self.spot,
        }
        return {kind: price for kind, price in prices.items() if price is not None}


@dataclass(frozen=True, kw_only=True, slots=True)
class EnergyFacts:
    """What the energy of GPUs stands for."""

    pue: float | None = limited(at_least(1), None)
    """The data centre's power usage effectiveness."""
    grid_grams_per_kwh: float | None = limited(at_least(0), None)
    """Grams of CO2 equivalent for a kWh."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PriceFile:
    """The content of the file."""

    currency: str
    date: str = limited(matches(r"\d{4}-\d\d-\d\d", "a date such as 2026-11-29"))
    """When the prices were looked up."""
    source: str
    """Where they are from."""
    here: PriceKind = "on_premises"
    """The kind of price that this cluster has; the others are what the same work would cost elsewhere."""
    gpu: str | None = None
    """The type of GPUs of which neither Slurm nor a sample tells the type."""
    gpus: Mapping[str, GpuPrice] = field(default_factory=dict)
    """By type, as Slurm or the driver names it or a part of that name: `h200`."""
    energy: EnergyFacts = EnergyFacts()


def read_prices(path: Path) -> Prices:
    """The prices in a TOML file.

    Raises:
        ConfigError: it cannot be read, or has a key that does not exist or a value of another type.
    """
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        raise ConfigError(f"The file of prices {path} cannot be read: {why}. Name another with --prices.") from None
    if isinstance(values.get("date"), date):  # TOML has dates; in quotes it is text
        values["date"] = values["date"].isoformat()
    try:
        file = build(PriceFile, values)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error} examples/prices.toml shows what there is.") from None
    return Prices(
        note=PriceNote(currency=file.currency, date=file.date, source=file.source, here=file.here),
        gpu=file.gpu,
        per_gpu_hour={name.lower(): prices.by_kind for name, prices in file.gpus.items()},
        pue=file.energy.pue,
        grid_grams_per_kwh=file.energy.grid_grams_per_kwh,
    )
