"""The file of prices."""

from __future__ import annotations

from pathlib import Path

import pytest

from passingloop.errors import ConfigError
from passingloop.report.usage.content import PriceNote
from passingloop.usage.price_file import read_prices
from tests.conftest import ROOT

FILE = """
currency = "EUR"
date = 2026-11-01
source = "the contract"
here = "on_demand"
gpu = "h200"

[gpus.H200]
on_demand = 3
spot = 1.25

[energy]
pue = 1.2
"""


def test_what_it_says(tmp_path: Path) -> None:
    path = tmp_path / "prices.toml"
    path.write_text(FILE)
    prices = read_prices(path)
    assert prices.note == PriceNote(currency="EUR", date="2026-11-01", source="the contract", here="on_demand")
    assert prices.per_gpu_hour == {"h200": {"on_demand": 3.0, "spot": 1.25}}
    assert (prices.gpu, prices.pue, prices.grid_grams_per_kwh) == ("h200", 1.2, None)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("spot", "sport", "There is no setting gpus.H200.sport. Did you mean gpus.H200.spot?"),
        ("= 3", "= -3", "gpus.H200.on_demand must be"),
        ("= 1.2\n", "= 0.9\n", "energy.pue must be"),
        ("2026-11-01", '"lately"', "date must be a date such as 2026-11-29"),
        ('currency = "EUR"\n', "", "currency is missing. Give it a value: text."),
        ("date = 2026-11-01\n", "", "date is missing. Give it a value: a date such as 2026-11-29."),
        ("[gpus.H200]", "[gpus.H200", "cannot be read"),
        ('"on_demand"', '"cloud"', "here must be one of on_premises, on_demand, spot"),
    ],
)
def test_mistakes_are_named(tmp_path: Path, old: str, new: str, said: str) -> None:
    path = tmp_path / "prices.toml"
    path.write_text(FILE.replace(old, new))
    with pytest.raises(ConfigError) as error:
        read_prices(path)
    assert said in str(error.value)
    assert str(path) in str(error.value)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No such file"):
        read_prices(tmp_path / "none.toml")


def test_the_example_says_that_it_is_one() -> None:
    prices = read_prices(ROOT / "examples" / "prices.toml")
    assert prices.note.source.startswith("examples")
    assert all(each.keys() == {"on_premises", "on_demand", "spot"} for each in prices.per_gpu_hour.values())
