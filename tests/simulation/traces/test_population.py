from __future__ import annotations

import itertools
from collections import Counter, defaultdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from passingloop.errors import ConfigError
from passingloop.simulation.traces.population import (
    SESSION_S,
    proportional,
    with_interactive,
    with_qos,
    with_scavenger,
    with_users,
)
from passingloop.simulation.traces.trace import Trace, bursts_of
from tests.simulation.traces.made import few_examples, job, trace, traces

amounts = st.dictionaries(st.text("abc", min_size=1, max_size=3), st.integers(1, 500), min_size=1)


@few_examples
@given(amounts, st.data())
def test_parts_are_in_proportion_and_between_one_and_the_amount(whole: dict[str, int], data: st.DataObject) -> None:
    total = data.draw(st.integers(len(whole), sum(whole.values())))
    parts = proportional(whole, total)
    assert sum(parts.values()) == total
    assert all(1 <= parts[name] <= whole[name] for name in whole)
    assert all(parts[a] + 1 >= parts[b] for a in whole for b in whole if whole[a] >= whole[b])


@few_examples
@given(traces, st.integers(0, 5), st.data())
def test_each_user_has_jobs_of_one_account(made: Trace, seed: int, data: st.DataObject) -> None:
    accounts = {one.account for one in made.jobs}
    bursts = bursts_of(trace(*(job(**vars(one) | {"user": ""}) for one in made.jobs)).jobs)
    users = data.draw(st.integers(len(accounts), len(bursts)))
    spread = with_users(made, users, seed)
    of: dict[str, set[str]] = defaultdict(set)
    for one in spread.jobs:
        of[one.user].add(one.account)
    assert len(of) == users
    assert all(len(into) == 1 for into in of.values())
    assert sorted((one.submit_s, one.account) for one in spread.jobs) == sorted(  # those of one moment in any order
        (one.submit_s, one.account) for one in made.jobs
    )
    assert spread == with_users(made, users, seed)


def test_users_follow_zipfs_law_and_bursts_are_of_one_user() -> None:
    sweep = [job(submit_s=50.0 * number) for number in range(200)]
    single = [job(submit_s=20_000.0 + 61 * number) for number in range(1000)]
    spread = with_users(trace(*sweep, *single), 8, seed=1)
    assert len({one.user for one in spread.jobs if one.submit_s < 20_000}) == 1
    counts = Counter(one.user for one in spread.jobs if one.submit_s >= 20_000)
    assert 2.5 < counts["a-u01"] / counts["a-u04"] < 6


@pytest.mark.parametrize("users", [1, 4])
def test_too_few_or_too_many_users(users: int) -> None:
    made = trace(job(account="a"), job(account="b"), job(account="b", submit_s=90))
    with pytest.raises(ConfigError, match=f"users={users}: the trace has 2 accounts, whose jobs come in 3 bursts"):
        with_users(made, users, seed=0)


@few_examples
@given(traces, st.floats(0, 1), st.integers(0, 3))
def test_interactive_sessions_are_short_and_one_at_a_time(made: Trace, share: float, seed: int) -> None:
    before = {one.number for one in made.jobs if one.qos == "interactive"}
    after = [one for one in with_interactive(made, share, seed).jobs if one.qos == "interactive"]
    sessions = [one for one in after if one.number not in before]
    assert len(sessions) <= round(share * sum(one.gpus == 1 for one in made.jobs))
    assert all(one.gpus == 1 and 0 < one.duration_s <= SESSION_S for one in sessions)
    of: dict[str, list[float]] = defaultdict(list)
    for one in sessions:  # in the order of submission
        of[one.user] += [one.submit_s, one.submit_s + one.duration_s]
    assert all(earlier <= later for times in of.values() for earlier, later in itertools.pairwise(times))


def test_a_tenth_of_the_1_gpu_jobs_is_interactive() -> None:
    made = trace(*(job(submit_s=800.0 * number, duration_s=60, gpus=1 + number % 2) for number in range(100)))
    asked = with_interactive(made, 0.1, seed=0)
    assert sum(one.qos == "interactive" for one in asked.jobs) == 5
    assert asked.notes == ("5 of 50 1-GPU jobs, up to 4 hours long, are interactive.",)
    assert asked != with_interactive(made, 0.1, seed=1)


def test_a_scavenger_share_is_of_gpu_hours_without_other_qos() -> None:
    qos = ["interactive", "", "", "", ""]
    made = trace(*(job(submit_s=100.0 * n, gpus=1 + n % 3, qos=qos[n % 5]) for n in range(500)))
    asked = with_scavenger(made, 0.3, seed=2)
    hours = Counter[str]()
    for one in asked.jobs:
        hours[one.qos] += one.gpus
    assert hours["scavenger"] / (hours["scavenger"] + hours[""]) == pytest.approx(0.3, abs=0.01)
    assert hours["interactive"] == sum(one.gpus for one in made.jobs if one.qos)


def test_other_names_for_qos() -> None:
    made = trace(job(qos="normal"), job(submit_s=1, qos=""))
    assert [one.qos for one in with_qos(made, {"normal": "production", "": "scavenger"}).jobs] == [
        "production",
        "scavenger",
    ]
    with pytest.raises(ConfigError, match=r"qos.long=x: no job of made has the QOS 'long'. There are \(none\), normal"):
        with_qos(made, {"long": "x"})
