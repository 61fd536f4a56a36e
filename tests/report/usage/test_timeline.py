"""The series of the timeline."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from passingloop.report.usage.allocation_use import Allocation
from passingloop.report.usage.timeline import MAX_BUCKETS, timeline
from tests.report.usage.made import HOUR, allocation, part


def test_by_hand() -> None:
    """Four hours; 4 GPUs from half past one to half past three, and one of another QOS in the last hour."""
    busy = part(sampled=HOUR, busy=0.5, training=2 * HOUR)
    month = [
        allocation(1.5 * HOUR, 3.5 * HOUR, gpus=4.0, eligible=0.5 * HOUR, parts=(busy,)),
        allocation(3 * HOUR, 4 * HOUR, qos="high", eligible=3 * HOUR),
        allocation(0.0, HOUR, qos=None, gpus=0.0, is_cut=True, eligible=-HOUR),
    ]
    series = timeline(month, 0.0, 4 * HOUR)
    assert series.seconds == 300.0
    assert len(series.starts) == 48
    hours = [sum(series.gpus["normal"][12 * hour : 12 * hour + 12]) / 12 for hour in range(4)]
    assert hours == [0.0, 2.0, 4.0, 2.0]
    assert series.gpus["high"] == (0.0,) * 36 + (1.0,) * 12
    assert series.gpus.keys() == {"normal", "high"}
    assert (series.busy[17], series.busy[18], series.busy[41], series.busy[42]) == (None, 1.0, 1.0, None)
    assert series.waits == (None,) * 18 + (HOUR,) + (None,) * 17 + (0.0,) + (None,) * 11
    assert series.waiting == (0.0,) * 6 + (1.0,) * 12 + (0.0,) * 30


@given(
    st.floats(0, 1e6),
    st.floats(60, 5e6),
    st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1), st.sampled_from([0.5, 1.0, 8.0])), max_size=6),
)
def test_the_buckets_add_up_to_the_gpu_hours(
    since: float, length: float, shares: list[tuple[float, float, float]]
) -> None:
    until = since + length
    month: list[Allocation] = []
    for a, b, gpus in shares:
        month.append(allocation(since + min(a, b) * length, since + max(a, b) * length, gpus=gpus))
    series = timeline(month, since, until)
    lengths = [min(start + series.seconds, until) - max(start, since) for start in series.starts]
    total = sum(mean * part for each in series.gpus.values() for mean, part in zip(each, lengths, strict=True))
    assert math.isclose(total / 3600, sum(each.gpu_hours for each in month), rel_tol=1e-6, abs_tol=1e-6)
    assert len(series.starts) <= MAX_BUCKETS + 1
