"""Which price a GPU has, and what energy adds up to."""

from __future__ import annotations

from dataclasses import replace

import pytest

from passingloop.report.usage.prices import Prices, energy
from passingloop.report.usage.usage_figures import Money
from tests.report.usage.test_figure_sums import NOTE

PRICES = Prices(note=NOTE, per_gpu_hour={"l4": {"spot": 1.0}, "l40s": {"spot": 2.0}, "h200": {"spot": 3.0}})


@pytest.mark.parametrize(
    ("name", "price"),
    [("NVIDIA L4", 1.0), ("NVIDIA L40S", 2.0), ("h200_1g.18gb", 3.0), ("H200", 3.0), ("gtx1080", None), ("", None)],
)
def test_types(name: str, price: float | None) -> None:
    assert PRICES.of_type(name).get("spot") == price


def test_a_type_that_is_not_known_is_the_one_of_the_file() -> None:
    assert replace(PRICES, gpu="h200").of_type("") == {"spot": 3.0}
    assert replace(PRICES, gpu="h200").of_type("gtx1080") == {}


def test_money_says_for_how_many_hours_it_is() -> None:
    assert PRICES.money({"l4": 10.0, "h200": 2.0, "gtx1080": 50.0}) == {"spot": Money(amount=16.0, gpu_hours=12.0)}
    assert PRICES.money({"gtx1080": 50.0}) == {}


def test_energy() -> None:
    plain = energy(7.2e6, 4.0, None)
    assert (plain.kwh, plain.co2_kg, plain.gpu_hours) == (2.0, None, 4.0)
    full = energy(7.2e6, 4.0, replace(PRICES, pue=1.5, grid_grams_per_kwh=100.0))
    assert (full.kwh, full.co2_kg) == (3.0, pytest.approx(0.3))
