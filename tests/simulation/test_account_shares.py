"""Shares by the tree of accounts, and what accounts got of them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from passingloop.policy.fields import Options
from passingloop.report.simulation.policy_figures import AccountShare
from passingloop.simulation.account_shares import account_shares, configured_shares, jain_index
from passingloop.simulation.replay_figures import replay_figures
from tests.simulation.made_outcomes import outcome, replay


def account(shares: str = "1", parent: str = "root") -> Options:
    return {("Fairshare", ""): shares, ("Parent", ""): parent}


TREE = {
    "root": {},
    "research": account("2"),
    "teaching": account(),
    "vision": account("3", "research"),
    "language": account("1", "research"),
}


def test_shares_count_among_siblings() -> None:
    parts = configured_shares(TREE, {"vision", "language", "teaching"})
    assert parts == pytest.approx({"vision": 2 / 3 * 3 / 4, "language": 2 / 3 / 4, "teaching": 1 / 3})


def test_an_account_without_jobs_leaves_its_share_to_its_siblings() -> None:
    assert configured_shares(TREE, {"vision", "teaching"}) == pytest.approx({"vision": 2 / 3, "teaching": 1 / 3})


def test_an_account_with_jobs_and_accounts_below_it_is_one_more_of_these() -> None:
    parts = configured_shares(TREE, {"research", "vision", "language"})
    assert parts == pytest.approx({"vision": 3 / 5, "language": 1 / 5, "research": 1 / 5})


def test_an_unknown_account_has_one_share_at_the_top() -> None:
    assert configured_shares(TREE, {"guests", "vision"}) == pytest.approx({"guests": 1 / 3, "vision": 2 / 3})
    assert configured_shares({}, {"a", "b"}) == {"a": 0.5, "b": 0.5}


NAMES = ("a", "b", "c", "d", "e", "f")


@given(
    st.lists(st.tuples(st.integers(0, 5), st.integers(1, 50)), min_size=6, max_size=6),
    st.sets(st.sampled_from((*NAMES, "root", "stranger")), min_size=1),
)
def test_shares_add_up_to_one_and_nobody_has_none(tree: list[tuple[int, int]], active: set[str]) -> None:
    """Each account's parent is one before it, or the root."""
    accounts = {
        name: account(str(shares), NAMES[above] if above < number else "root")
        for number, (name, (above, shares)) in enumerate(zip(NAMES, tree, strict=True))
    }
    parts = configured_shares(accounts, active)
    assert parts.keys() == active
    assert sum(parts.values()) == pytest.approx(1)
    assert min(parts.values()) > 0


def test_only_the_time_counts_in_which_an_account_asked_for_its_share() -> None:
    """Each is to have 4 of 8 GPUs. teaching asks for 2 GPUs in the first half, and for 6 in the second, and holds 2."""
    outcomes = [
        outcome((0, 3600), gpus=6, account="vision"),
        outcome((0, 3600), gpus=2, account="teaching"),
        outcome((3600, 4000), gpus=4, account="teaching", submit=1800),
    ]
    teaching, vision = account_shares(outcomes, {}, 8, 3600)
    assert (teaching.account, teaching.configured) == ("teaching", 0.5)
    assert teaching.asked == pytest.approx(0.5)
    assert teaching.got == pytest.approx(0.5)
    assert teaching.used == pytest.approx(0.25)
    assert (vision.asked, vision.got) == pytest.approx((1.0, 1.5))


def test_who_waits_for_ever_or_after_a_preemption_asks_and_who_was_cancelled_does_not() -> None:
    starved = outcome(gpus=8, account="a", submit=1800)
    cancelled = outcome(gpus=8, account="b", submit=0, patience=900)
    preempted = outcome((0, 900), (2700, 3600), gpus=8, account="c")
    shares = {one.account: one for one in account_shares([starved, cancelled, preempted], {}, 8, 3600)}
    assert (shares["a"].asked, shares["a"].got) == pytest.approx((0.5, 0.0))
    assert (shares["b"].asked, shares["b"].got) == pytest.approx((0.25, 0.0))
    assert (shares["c"].asked, shares["c"].got) == pytest.approx((1.0, 1.5))


def test_an_account_that_asked_for_a_moment_only_does_not_count() -> None:
    brief = outcome((30, 40), gpus=8, account="a")
    (share,) = account_shares([brief], {}, 8, 36000)
    assert not share.counts


def got(*parts: float, counts: bool = True) -> list[AccountShare]:
    return [
        AccountShare(account=str(number), configured=0.1, used=0.1, asked=0.5, got=part, counts=counts)
        for number, part in enumerate(parts)
    ]


def test_jains_index() -> None:
    """What is beyond the share does not count: nobody lost it."""
    assert jain_index(got(0.5, 0.5, 0.5)) == pytest.approx(1)
    assert jain_index(got(1, 0, 0, 0)) == pytest.approx(0.25)
    assert jain_index(got(1, 7)) == pytest.approx(1)
    assert jain_index(got(0.5, 1)) == pytest.approx(1.5**2 / (2 * 1.25))
    assert jain_index(got(0.5)) is None
    assert jain_index(got(0.1, 1, counts=False)) is None


def test_the_lowest_share_is_of_those_that_asked_and_no_more_than_all() -> None:
    held = [outcome((0, 3600), gpus=8, account="a"), outcome((0, 10), gpus=8, account="b")]
    assert replay_figures(replay(held)).lowest_share == 1
    held.append(outcome(gpus=8, account="c", submit=1800))
    assert replay_figures(replay(held)).lowest_share == 0
