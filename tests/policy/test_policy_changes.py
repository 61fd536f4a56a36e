"""From one state to another: what changes, and in what order."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings

from passingloop.policy.commands import command, command_line
from passingloop.policy.entities import Seat, State, allowed_qos
from passingloop.policy.fields import Options
from passingloop.policy.policy_changes import PER_CALL, Change, changes
from tests.policy.made import ROOT_QOS, state
from tests.policy.strategies import states

PARENT, QOS, DEFAULT_QOS, PREEMPT = ("Parent", ""), ("QOS", ""), ("DefaultQOS", ""), ("Preempt", "")


def lines(before: State, after: State) -> list[str]:
    """The commands, without what all of them begin with."""
    start = "sacctmgr --immediate "
    return [command_line(command(change, "dev")).removeprefix(start) for change in changes(before, after)]


def test_nothing_changes_nothing() -> None:
    assert lines(state(), state()) == []


def test_a_new_cluster_from_the_top() -> None:
    empty = state(qos={"normal": {}}, accounts={"root": {QOS: "normal"}}, users={}, seats={})
    assert lines(empty, state()) == [
        "add qos name=scavenger",
        "add qos name=production Preempt=scavenger",
        "add qos name=interactive Preempt=scavenger",
        "modify account where name=root cluster=dev set DefaultQOS=production "
        "QOS=interactive,normal,production,scavenger",
        "add account name=research cluster=dev Parent=root",
        "add account name=team-a,team-b cluster=dev Parent=research",
        "add user name=ada cluster=dev account=team-a DefaultAccount=team-a",
        "add user name=ada cluster=dev account=team-b",
        "modify account where name=root cluster=dev set QOS=interactive,production,scavenger",
        "delete qos where name=normal",
    ]


def test_a_list_of_qos_is_changed_before_there_are_new_defaults_below_it() -> None:
    root = {QOS: "high", DEFAULT_QOS: "high"}
    old = state(
        qos={"high": {}}, accounts={"root": root, "a": {PARENT: "root"}, "b": {PARENT: "a"}}, users={}, seats={}
    )
    accounts = {
        "root": root,
        "a": {PARENT: "root", QOS: "high"},
        "b": {PARENT: "a", QOS: "high,low"},
        "c": {PARENT: "b", DEFAULT_QOS: "low"},
    }
    assert lines(old, state(qos={"high": {}, "low": {}}, accounts=accounts, users={}, seats={})) == [
        "add qos name=low",
        "modify account where name=a cluster=dev set QOS=high",
        "modify account where name=b cluster=dev set QOS=high,low",
        "add account name=c cluster=dev DefaultQOS=low Parent=b",
    ]


def test_removals_come_last_and_those_below_first() -> None:
    after = state(qos={"production": {}}, accounts={"root": {QOS: "production"}}, users={}, seats={})
    assert lines(state(), after) == [
        "modify qos where name=production set Preempt=",
        "modify account where name=root cluster=dev set DefaultQOS=-1",
        "delete user where name=ada cluster=dev account=team-b",
        "delete user where name=ada cluster=dev account=team-a",
        "delete account where name=team-a,team-b cluster=dev",
        "delete account where name=research cluster=dev",
        "modify account where name=root cluster=dev set QOS=production",
        "delete qos where name=scavenger,interactive",
    ]


ONE: dict[str, tuple[State, list[str]]] = {
    "limits of a QOS in one word each": (
        state(
            qos={
                **state().qos,
                "scavenger": {("MaxTRESPU", "gres/gpu"): "2", ("MaxTRESPU", "mem"): "65536", ("MaxWall", ""): "14400"},
            }
        ),
        ["modify qos where name=scavenger set MaxTRESPU=gres/gpu=2,mem=65536 MaxWall=4:00:00"],
    ),
    "seconds and spans": (
        state(qos={**state().qos, "scavenger": {("GraceTime", ""): "120", ("PreemptExemptTime", ""): "900"}}),
        ["modify qos where name=scavenger set GraceTime=120 PreemptExemptTime=0:15:00"],
    ),
    "accounts that change alike, in one call": (
        state(
            accounts={
                **state().accounts,
                "team-a": {PARENT: "research", ("Fairshare", ""): "5"},
                "team-b": {PARENT: "research", ("Fairshare", ""): "5"},
            }
        ),
        ["modify account where name=team-a,team-b cluster=dev set Fairshare=5"],
    ),
    "an account moves": (
        state(accounts={**state().accounts, "team-a": {PARENT: "root"}}),
        ["modify account where name=team-a cluster=dev set Parent=root"],
    ),
    "a default account": (
        state(users={"ada": {("DefaultAccount", ""): "team-b"}}),
        ["modify user where name=ada cluster=dev set DefaultAccount=team-b"],
    ),
    "a level": (
        state(users={"ada": {("DefaultAccount", ""): "team-a", ("AdminLevel", ""): "operator"}}),
        ["modify user where name=ada cluster=dev set AdminLevel=operator"],
    ),
    "a seat in one partition only": (
        state(seats={**state().seats, Seat("ada", "team-b", "short"): {("Fairshare", ""): "2"}}),
        ["add user name=ada cluster=dev account=team-b partition=short Fairshare=2"],
    ),
    "QOS that are added to those above": (
        state(seats={**state().seats, Seat("ada", "team-b"): {QOS: "-interactive"}}),
        ["modify user where name=ada cluster=dev account=team-b partition= set QOS=-interactive"],
    ),
    "a description with spaces": (
        state(accounts={**state().accounts, "team-a": {PARENT: "research", ("Description", ""): "the a team"}}),
        ["modify account where name=team-a cluster=dev set 'Description=the a team'"],
    ),
}


@pytest.mark.parametrize("name", ONE)
def test_one_change(name: str) -> None:
    after, expected = ONE[name]
    assert lines(state(), after) == expected


def test_what_was_set_is_cleared() -> None:
    after, _ = ONE["limits of a QOS in one word each"]
    cleared = ["modify qos where name=scavenger set MaxTRESPU=gres/gpu=-1,mem=-1 MaxWall=-1"]
    assert lines(after, state()) == cleared


def test_a_list_is_emptied_before_names_are_added_to_those_above() -> None:
    """sacctmgr adds +name to what is there."""
    seat = Seat("ada", "team-b")
    before = state(seats={seat: {QOS: "production"}})
    after = state(seats={seat: {QOS: "-interactive"}})
    assert lines(before, after) == [
        "modify user where name=ada cluster=dev account=team-b partition= set QOS=",
        "modify user where name=ada cluster=dev account=team-b partition= set QOS=-interactive",
    ]


def test_the_default_of_a_user_leaves_a_qos_before_it_is_taken_from_the_account() -> None:
    """slurmdbd refuses it the other way round."""
    before = state(seats={Seat("ada", "team-a"): {DEFAULT_QOS: "interactive"}})
    accounts = {**state().accounts, "root": ROOT_QOS | {QOS: "production,scavenger"}}
    after = state(accounts=accounts, seats={Seat("ada", "team-a"): {}})
    assert lines(before, after) == [
        "modify user where name=ada cluster=dev account=team-a partition= set DefaultQOS=-1",
        "modify account where name=root cluster=dev set QOS=production,scavenger",
    ]


def test_many_users_are_added_in_calls_of_a_length_that_linux_takes() -> None:
    names = [f"user-with-a-long-name-{number}" for number in range(1000)]
    after = state(
        users={name: {("DefaultAccount", ""): "team-a"} for name in names},
        seats={Seat(name, "team-a"): {} for name in names},
    )
    before = state(users={}, seats={})
    found = changes(before, after)
    assert [len(change.names) for change in found] == [PER_CALL, PER_CALL, 200]
    assert max(len(word) for change in found for word in command(change, "dev")) < 2**17


# --- what slurmdbd makes of it ---------------------------------------------------------------------------------


def changed(options: Options, change: Change) -> Options:
    """The settings after a change; a list of QOS with signs is added to what is there, as sacctmgr does."""
    new = dict(options)
    for setting in change.settings:
        assert change.action == "add" or options.get(setting.option) == setting.before
        if setting.after is None:
            del new[setting.option]
        else:
            new[setting.option] = setting.after
    return new


def applied(there: State, change: Change) -> State:
    """What slurmdbd has after a change, whose rules hold."""
    qos, accounts, users, seats = (dict(one) for one in (there.qos, there.accounts, there.users, there.seats))
    for name in change.names:
        seat = Seat(name, change.account, change.partition)
        match change.thing, change.action:
            case "qos", "remove":
                del qos[name]
            case "qos", _:
                qos[name] = changed(qos.get(name, {}), change)
            case "account", "remove":
                assert not any(name in (options.get(PARENT), "") for options in accounts.values())
                assert not any(one.account == name for one in seats)
                del accounts[name]
            case "account", action:
                assert (name in accounts) == (action == "change")
                accounts[name] = changed(accounts.get(name, {}), change)
            case "user", _:
                users[name] = changed(users[name], change)
                assert any(one[:2] == (name, users[name].get(("DefaultAccount", ""))) for one in seats)
            case "seat", "remove":
                gone = [one for one in seats if one[:2] == seat[:2]] if change.any_partition else [seat]
                seats = {one: options for one, options in seats.items() if one not in gone}
                own = [one.account for one in seats if one.user == name]
                if own:
                    assert users[name][("DefaultAccount", "")] in own
                else:
                    del users[name]
            case "seat", "add":
                assert change.new_users == (name not in users)
                users.setdefault(name, {("DefaultAccount", ""): change.account})
                assert seat not in seats
                seats[seat] = changed({}, change)
            case _:
                seats[seat] = changed(seats[seat], change)
    return replace(there, qos=qos, accounts=accounts, users=users, seats=seats)


def check(there: State, change: Change) -> None:
    """The rules of slurmdbd.

    It refuses a list of QOS, with exit code 0, where a default that applies is not in it: in the place itself, and in
    those below that have no list of their own. It does not ask about defaults when a place is added.
    """
    for options in there.qos.values():
        assert set(filter(None, options.get(PREEMPT, "").split(","))) <= set(there.qos)
    for name, options in there.accounts.items():
        assert name == "root" or options[PARENT] in there.accounts
        assert list(there.chain(name))[-1] == "root", "no circle"
    assert all(seat.account in there.accounts for seat in there.seats)
    if change.action != "change" or QOS not in [setting.option for setting in change.settings]:
        return
    accounts = [[there.accounts[one] for one in there.chain(name)] for name in there.accounts]
    seats = [there.above(seat) for seat in there.seats]
    if change.thing == "account":
        changed_here = [there.accounts[name] for name in change.names]
    else:
        changed_here = [there.seats[Seat(name, change.account, change.partition)] for name in change.names]
    for chain in [*accounts, *seats]:
        default = next((options[DEFAULT_QOS] for options in chain if DEFAULT_QOS in options), None)
        lists = [options for options in chain if QOS in options][:1]
        if default and any(options in changed_here for options in [chain[0], *lists]):
            assert default in allowed_qos(chain)


@settings(max_examples=100, deadline=None)
@given(before=states(), after=states())
def test_every_step_is_valid_and_all_of_them_lead_there(before: State, after: State) -> None:
    there = before
    for change in changes(before, after):
        there = applied(there, change)
        check(there, change)
    assert there == after


@settings(max_examples=20, deadline=None)
@given(before=states(), after=states())
def test_what_was_broken_off_anywhere_is_completed(before: State, after: State) -> None:
    steps = changes(before, after)
    there = before
    for step in steps:
        there = applied(there, step)
        rest = there
        for change in changes(there, after):
            rest = applied(rest, change)
        assert rest == after
