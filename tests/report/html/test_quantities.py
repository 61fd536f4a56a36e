from datetime import timedelta

import pytest

from passingloop.report.html import quantities


@pytest.mark.parametrize(
    ("value", "unit", "words"),
    [
        (31_200.4, "GPU-h", "31,200 GPU-h"),
        (99.94, "", "99.9"),
        (6, "", "6"),
        (1.234, "kWh", "1.23 kWh"),
        (0.00123, "", "0.0012"),
        (0.0, "", "0"),
        (None, "EUR", "–"),
        (float("nan"), "EUR", "–"),
    ],
)
def test_numbers(value: float | None, unit: str, words: str) -> None:
    assert quantities.number(value, unit).replace(quantities.SPACE, " ") == words


@pytest.mark.parametrize(
    ("value", "words"), [(0.64, "64 %"), (0.034, "3.4 %"), (0.0, "0 %"), (1.0, "100 %"), (None, "–")]
)
def test_shares(value: float | None, words: str) -> None:
    assert quantities.share(value).replace(quantities.SPACE, " ") == words


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (8.4, "8.4 s"),
        (90, "1 min 30 s"),
        (12_000, "3 h 20 min"),
        (172_800, "2 d"),
        (None, "–"),
    ],
)
def test_durations(seconds: float | None, words: str) -> None:
    assert quantities.duration(seconds).replace(quantities.SPACE, " ") == words


def test_a_short_period_has_times_and_a_long_one_days() -> None:
    noon = 1_793_448_000.0
    assert quantities.period(noon, noon + 3_600, timedelta(hours=1)) == "2026-10-31 13:00 to 2026-10-31 14:00"
    assert quantities.period(noon, noon + 7 * 86_400, timedelta()) == "31 October 2026 to 7 November 2026"


def test_values_of_curves_have_four_digits() -> None:
    assert [quantities.significant(value) for value in (0.123456, 41_234.6, 3.0, float("inf"), None)] == [
        0.1235,
        41_230,
        3,
        None,
        None,
    ]
