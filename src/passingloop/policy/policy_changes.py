"""The difference between two states of slurmdbd: an ordered list of changes, additions first and removals last.

Each change is one call of sacctmgr, and no call needs what a later one adds. So wherever the list is cut off, the
state is a valid one, and the difference from there on is the rest of the list.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any, Literal

from passingloop.policy.entities import Seat, State, allowed_qos
from passingloop.policy.fields import DEFAULT_ACCOUNT, PREEMPT, QOS_LIST, Option, Options

Action = Literal["add", "change", "remove"]
Thing = Literal["qos", "account", "user", "seat"]

PER_CALL = 400
"""Names in one call: the length of an argument is limited, 128 KiB on Linux."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Setting:
    """One setting, before and after; None where it has its default or is inherited."""

    option: Option
    before: str | None
    after: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Change:
    """One call of sacctmgr, for things that change in the same way."""

    action: Action
    thing: Thing
    names: tuple[str, ...]
    """Names of QOS, accounts or users."""
    account: str = ""
    """Of a seat."""
    partition: str = ""
    any_partition: bool = False
    """Whether a seat is removed for all partitions, and for none, at once."""
    new_users: bool = False
    """Whether the users of a seat that is added are new in slurmdbd; the account becomes their default."""
    settings: tuple[Setting, ...] = ()


def changes(before: State, after: State) -> list[Change]:
    """What makes `before` into `after`."""
    return [
        *_added_qos(before, after),
        *_changed("qos", before.qos, after.qos),
        *_built_accounts(before, after),
        *_added_seats(before, after),
        *_changed("user", before.users, after.users),
        *_changed_seats(before, after),
        *_removed_seats(before, after),
        *_removed_accounts(before, after),
        *_narrowed(before, after),  # what is removed may have a default that is to be taken away
        *_removed("qos", [name for name in before.qos if name not in after.qos]),
    ]


def _settings(before: Options, after: Options) -> tuple[Setting, ...]:
    return tuple(
        Setting(option=option, before=before.get(option), after=after.get(option))
        for option in sorted({*before, *after})
        if before.get(option) != after.get(option)
    )


def _grouped(items: Iterable[tuple[str, Any]]) -> Iterator[tuple[list[str], Any]]:
    """The names that have the same value, with that value, in the order of the first of each."""
    groups: dict[Any, list[str]] = {}
    for name, value in items:
        groups.setdefault(value, []).append(name)
    for value, names in groups.items():
        for start in range(0, len(names), PER_CALL):
            yield names[start : start + PER_CALL], value


def _frozen(options: Options) -> tuple[tuple[Option, str], ...]:
    return tuple(sorted(options.items()))


# --- QOS -----------------------------------------------------------------------------------------------------


def _added_qos(before: State, after: State) -> Iterator[Change]:
    """One by one, as each may preempt what was added before it."""
    new = [name for name in after.qos if name not in before.qos]
    for name in _ordered(new, lambda name: after.qos[name].get(PREEMPT, "").split(",")):
        yield Change(action="add", thing="qos", names=(name,), settings=_settings({}, after.qos[name]))


def _ordered(names: Iterable[str], needs: Callable[[str], Collection[str]]) -> list[str]:
    """The names, each after those that it needs; the policy has no circles."""
    left, ordered = list(names), list[str]()
    while left:
        ready = [name for name in left if not set(needs(name)) & set(left)]
        ordered += ready or left
        left = [name for name in left if name not in ordered]
    return ordered


def _changed(thing: Thing, before: Mapping[str, Options], after: Mapping[str, Options]) -> Iterator[Change]:
    """Of what is on both sides."""
    pairs = [(name, _settings(before[name], options)) for name, options in after.items() if name in before]
    for names, settings in _grouped((name, settings) for name, settings in pairs if settings):
        yield from _cleared(Change(action="change", thing=thing, names=tuple(names), settings=settings))


def _cleared(change: Change) -> Iterator[Change]:
    """The change; before it one that empties the list of QOS, where +name and -name take its place.

    sacctmgr adds +name to what is there.
    """
    first = [
        setting
        for setting in change.settings
        if setting.option == QOS_LIST and setting.before and (setting.after or "").startswith(("+", "-"))
    ]
    if first:
        yield replace(change, settings=(replace(first[0], after=None),))
    yield change


def _removed(thing: Thing, names: list[str]) -> Iterator[Change]:
    for start in range(0, len(names), PER_CALL):
        yield Change(action="remove", thing=thing, names=tuple(names[start : start + PER_CALL]))


# --- accounts ------------------------------------------------------------------------------------------------


def _depth(state: State, account: str) -> int:
    return len(list(state.chain(account)))


def _built_accounts(before: State, after: State) -> Iterator[Change]:
    """Accounts that are added or changed, level by level from the top.

    So the parent of a new account is there, an account is never moved below one that is still below itself, and a list
    of QOS is changed before there are new defaults below it, which sacctmgr would compare with it.
    """
    names = sorted(after.accounts, key=lambda one: _depth(after, one))
    for _, level in groupby(names, key=lambda name: _depth(after, name)):
        new, there = list[str](), list[str]()
        for name in level:
            (there if name in before.accounts else new).append(name)
        for same, options in _grouped((name, _frozen(after.accounts[name])) for name in new):
            yield Change(action="add", thing="account", names=tuple(same), settings=_settings({}, dict(options)))
        yield from _changed(
            "account",
            {name: before.accounts[name] for name in there},
            {name: _wide_account(before, after, name) for name in there},
        )


def _wide_account(before: State, after: State, name: str) -> Options:
    """The new settings of an account, see `_wide`."""
    chains = [[state.accounts[one] for one in state.chain(name)] for state in (before, after)]
    return _wide(before.accounts[name], after.accounts[name], chains)


def _wide_seat(before: State, after: State, seat: Seat) -> Options:
    """The new settings of a seat, see `_wide`."""
    return _wide(before.seats[seat], after.seats[seat], [before.above(seat), after.above(seat)])


def _wide(old: Options, new: Options, chains: list[list[Options]]) -> Options:
    """`new`, unless its list of QOS takes one away: then the list has both, and is narrowed later.

    sacctmgr refuses to take away a QOS that is still somebody's default, and to set a default that may not be used.
    """
    if old.get(QOS_LIST) == new.get(QOS_LIST):
        return new
    has, gets = (allowed_qos(chain) for chain in chains)
    if has <= gets and QOS_LIST in new:
        return new
    both = {QOS_LIST: ",".join(sorted(has | gets))} if gets - has else {QOS_LIST: old.get(QOS_LIST)}
    merged = {**new, **both}
    return {option: value for option, value in merged.items() if value is not None}


def _narrowed(before: State, after: State) -> Iterator[Change]:
    """The lists of QOS that were left wider than they are to be: of users first, then of accounts from below."""
    seats = [
        (seat, narrowing)
        for seat, new in after.seats.items()
        if seat in before.seats and (narrowing := _settings_of_list(_wide_seat(before, after, seat), new))
    ]
    yield from _seat_changes(seats)
    for name in sorted(after.accounts, key=lambda one: -_depth(after, one)):
        if name in before.accounts:
            narrowing = _settings_of_list(_wide_account(before, after, name), after.accounts[name])
            if narrowing:
                yield from _cleared(Change(action="change", thing="account", names=(name,), settings=narrowing))


def _settings_of_list(wide: Options, final: Options) -> tuple[Setting, ...]:
    lists = ({QOS_LIST: one[QOS_LIST]} if QOS_LIST in one else {} for one in (wide, final))
    return _settings(*lists)


def _removed_accounts(before: State, after: State) -> Iterator[Change]:
    """Those below first."""
    gone = sorted((name for name in before.accounts if name not in after.accounts), key=lambda n: -_depth(before, n))
    for _, level in groupby(gone, key=lambda name: _depth(before, name)):
        yield from _removed("account", list(level))


# --- users and their places in accounts ----------------------------------------------------------------------


def _added_seats(before: State, after: State) -> Iterator[Change]:
    """For a new user the one in the default account first: that makes the user."""
    new = [seat for seat in after.seats if seat not in before.seats]
    made = {seat for seat in new if _makes_user(seat, before, after)}
    for first in (True, False):
        keyed = [
            (seat.user, (seat.account, seat.partition, _frozen(after.seats[seat])))
            for seat in new
            if (seat in made) == first
        ]
        for names, (account, partition, options) in _grouped(keyed):
            yield Change(
                action="add",
                thing="seat",
                names=tuple(names),
                account=account,
                partition=partition,
                new_users=first,
                settings=_settings({}, dict(options)),
            )
    yield from _changed(
        "user",
        {name: {DEFAULT_ACCOUNT: options.get(DEFAULT_ACCOUNT, "")} for name, options in after.users.items()},
        {name: options for name, options in after.users.items() if name not in before.users},
    )


def _makes_user(seat: Seat, before: State, after: State) -> bool:
    """Whether adding this seat is what adds its user."""
    if seat.user in before.users or after.users[seat.user].get(DEFAULT_ACCOUNT) != seat.account:
        return False
    same = [other.partition for other in after.seats if other[:2] == seat[:2]]
    return seat.partition == min(same)


def _changed_seats(before: State, after: State) -> Iterator[Change]:
    there = [seat for seat in after.seats if seat in before.seats]
    pairs = [
        (seat, _settings(before.seats[seat], _wide_seat(before, after, seat)))
        for seat in there
        if before.seats[seat] != after.seats[seat]
    ]
    yield from _seat_changes([(seat, settings) for seat, settings in pairs if settings])


def _seat_changes(pairs: list[tuple[Seat, tuple[Setting, ...]]]) -> Iterator[Change]:
    keyed = ((seat.user, (seat.account, seat.partition, settings)) for seat, settings in pairs)
    for names, (account, partition, settings) in _grouped(keyed):
        yield from _cleared(
            Change(
                action="change",
                thing="seat",
                names=tuple(names),
                account=account,
                partition=partition,
                settings=settings,
            )
        )


def _removed_seats(before: State, after: State) -> Iterator[Change]:
    """Of users who go, the default account last: slurmdbd refuses to remove it before others, and the user goes with
    it."""
    staying = {seat.user for seat in after.seats}
    gone = [seat for seat in before.seats if seat not in after.seats]
    stay = ((seat.user, (seat.account, seat.partition)) for seat in gone if seat.user in staying)
    for names, (account, partition) in _grouped(stay):
        yield Change(action="remove", thing="seat", names=tuple(names), account=account, partition=partition)
    places = dict.fromkeys((seat.user, seat.account) for seat in gone if seat.user not in staying)
    for last in (False, True):
        part = [place for place in places if (before.users[place[0]].get(DEFAULT_ACCOUNT) == place[1]) == last]
        for names, account in _grouped(part):
            yield Change(action="remove", thing="seat", names=tuple(names), account=account, any_partition=True)
