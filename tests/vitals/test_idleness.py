"""What follows from idle GPUs: tables."""

from __future__ import annotations

import pytest

from passingloop.rundir.samples import GpuSample, NodeSamples, Sample
from passingloop.vitals.idleness import GpuIdleLimits, IdleRule, IdleWatch, Judgement, busiest_share, gpu_rule

PRINCETON = IdleRule(warnings=(3600, 6300), end=7200)
ONLY_WARNED = IdleRule(warnings=(3600, 6300))


@pytest.mark.parametrize(
    ("rule", "idle", "warned", "since", "judgement"),
    [
        (PRINCETON, 0, 0, 0, "go on"),
        (PRINCETON, 3599, 0, 0, "go on"),
        (PRINCETON, 3600, 0, 0, "warn"),
        (PRINCETON, 6000, 1, 2400, "go on"),
        (PRINCETON, 6300, 1, 2700, "warn"),
        (PRINCETON, 7199, 2, 899, "go on"),
        (PRINCETON, 7200, 2, 900, "end"),
        # The supervisor saw it late: it warns once for both, and leaves some time.
        (PRINCETON, 9000, 0, 0, "warn"),
        (PRINCETON, 9059, 2, 59, "go on"),
        (PRINCETON, 9060, 2, 60, "end"),
        (ONLY_WARNED, 99999, 2, 90000, "go on"),
        (IdleRule(), 99999, 0, 0, "go on"),
        (IdleRule(end=7200), 7199, 0, 0, "go on"),
        (IdleRule(end=7200), 7200, 0, 0, "end"),
    ],
)
def test_what_follows(rule: IdleRule, idle: float, warned: int, since: float, judgement: Judgement) -> None:
    assert rule.judge(idle, warned, since) == judgement


USER = GpuIdleLimits((60, 105), False, 120)
STRICT_SITE = GpuIdleLimits((30,), True, 45)


@pytest.mark.parametrize(
    ("user", "site", "rule"),
    [
        (USER, USER, IdleRule(warnings=(3600, 6300))),
        (GpuIdleLimits((60, 105), True, 120), USER, PRINCETON),
        (USER, GpuIdleLimits((60, 105), True, 120), PRINCETON),
        (USER, STRICT_SITE, IdleRule(warnings=(1800,), end=2700)),
        (GpuIdleLimits((), False, 120), STRICT_SITE, IdleRule(warnings=(1800,), end=2700)),
        (GpuIdleLimits((5,), True, 10), STRICT_SITE, IdleRule(warnings=(300,), end=600)),
        (GpuIdleLimits((), False, 120), USER, IdleRule()),
    ],
)
def test_a_user_is_as_strict_as_they_like_and_the_site_has_the_last_word(
    user: GpuIdleLimits, site: GpuIdleLimits, rule: IdleRule
) -> None:
    assert gpu_rule(user, site) == rule


def node(name: str, *samples: tuple[float, tuple[float | None, ...]]) -> NodeSamples:
    rows = tuple(
        Sample(time=at, seconds=5, gpus=tuple(GpuSample(busy=share) for share in shares)) for at, shares in samples
    )
    return NodeSamples(attempt=1, node=name, samples=rows)


@pytest.mark.parametrize(
    ("nodes", "gpus", "seen", "share"),
    [
        ([node("a", (10, (0.0, 0.0)))], 2, {}, 0.0),
        ([node("a", (10, (0.0, 0.9)), (15, (0.0, 0.0)))], 2, {}, 0.9),
        ([node("a", (10, (0.0, 0.9)), (15, (0.0, 0.0)))], 2, {"a": 10}, 0.0),
        ([node("a", (10, (0.0,))), node("b", (10, (0.5,)))], 2, {}, 0.5),
        # What is not known is not idle.
        ([node("a", (10, (0.0,)))], 2, {}, None),
        ([node("a", (10, (0.0, None)))], 2, {}, None),
        ([node("a", (10, ()))], 1, {}, None),
        ([node("a", (10, (0.0, 0.0)))], 2, {"a": 10}, None),
        ([node("a", (10, (0.0,))), node("b", (10, (0.0,)))], 2, {"b": 10}, None),
        ([], 1, {}, None),
    ],
)
def test_the_busiest_gpu_counts(
    nodes: list[NodeSamples], gpus: int, seen: dict[str, float], share: float | None
) -> None:
    assert busiest_share(nodes, gpus, seen) == share


def test_a_watch_warns_once_for_each_limit_and_begins_anew_after_use() -> None:
    watch = IdleWatch(IdleRule(warnings=(60, 100), end=160), longest_gap=40)
    judged = [watch.judge(now, 0.0) for now in range(0, 181, 20)]
    assert [20 * index for index, judgement in enumerate(judged) if judgement == "warn"] == [60, 100]
    assert [20 * index for index, judgement in enumerate(judged) if judgement == "end"] == [160, 180]
    assert watch.judge(200, 0.5) == "go on"
    assert [watch.judge(now, 0.0) for now in (220, 240, 260, 280)] == ["go on", "go on", "go on", "warn"]
    assert watch.judge(300, None) == "go on"
    assert watch.judge(320, 0.0) == "go on"
    assert watch.idle == 0.0, "of the time before it is not known whether they worked"
