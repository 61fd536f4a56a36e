from __future__ import annotations

import math

from tests.report.search.made_search import made_point, made_search


def test_points_are_ranked_by_how_far_they_have_come_and_then_by_their_value() -> None:
    early, late, better = made_point("early", 0.1), made_point("late", 0.5, 0.4), made_point("better", 0.5, 0.3)
    sweep = made_search(early, late, made_point("new"), better, made_point("nan", math.nan))
    assert [point.run for point in sweep.points] == ["lr/better", "lr/late", "lr/early", "lr/new", "lr/nan"]
    assert sweep.best == better
    assert sweep.equally_good == 1
    assert made_search(late, made_point("twin", 0.7, 0.4)).equally_good == 2


def test_a_point_that_failed_keeps_the_value_that_it_had_before() -> None:
    failed = made_point("failed", 0.5, None)
    assert (failed.reached, failed.value, failed.has_failed) == (0, 0.5, True)
    assert not made_point("fine", 0.5).has_failed
    assert made_search(made_point("failed", None)).best is None
