"""A policy as the file gives it, and the state of a cluster in the same terms."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from passingloop.policy.fields import DEFAULT_ACCOUNT, DESCRIPTION, ORGANIZATION, PARENT, QOS_LIST, ROOT, Options
from passingloop.policy.objectives.objective import Objective

ROOT_USER = "root"

Keys = tuple[str, ...]
"""The keys that lead to a place in the file: ``("accounts", "team-a", "shares")``."""


class Seat(NamedTuple):
    """A user's place in an account: what Slurm calls an association."""

    user: str
    account: str
    partition: str = ""
    """The only partition it is for; empty means any."""

    def __str__(self) -> str:
        return f"{self.user} in {self.account}" + (f" (partition {self.partition})" if self.partition else "")


@dataclass(frozen=True, kw_only=True, slots=True)
class State:
    """What slurmdbd has, or is to have, for one cluster."""

    cluster: str
    qos: Mapping[str, Options]
    accounts: Mapping[str, Options]
    users: Mapping[str, Options]
    seats: Mapping[Seat, Options]
    tres: frozenset[str] = frozenset()
    """The resources that limits can be set for."""
    elsewhere: frozenset[str] = frozenset()
    """QOS that other clusters of the same slurmdbd use."""
    of_partitions: frozenset[str] = frozenset()
    """QOS that partitions have as their own."""

    def chain(self, account: str) -> Iterator[str]:
        """The account and those above it, the root account last."""
        seen: set[str] = set()
        while account in self.accounts and account not in seen:
            yield account
            seen.add(account)
            account = self.accounts[account].get(PARENT, "")

    def above(self, seat: Seat) -> list[Options]:
        """The settings of a seat and of the accounts above it, the nearest first."""
        return [self.seats.get(seat, {}), *(self.accounts[name] for name in self.chain(seat.account))]

    def seat_of(self, user: str, account: str, partition: str) -> Seat | None:
        """The seat that a job uses."""
        for seat in (Seat(user, account, partition), Seat(user, account)):
            if seat in self.seats:
                return seat
        return None


def allowed_qos(settings: list[Options]) -> set[str]:
    """The QOS that may be used, from the settings of a place and of those above it, the nearest first."""
    allowed: set[str] = set()
    for options in reversed(settings):
        listed = options.get(QOS_LIST, "").split(",") if QOS_LIST in options else []
        added = {name[1:] for name in listed if name.startswith("+")}
        removed = {name[1:] for name in listed if name.startswith("-")}
        plain = set(listed) - {f"+{name}" for name in added} - {f"-{name}" for name in removed}
        allowed = (plain or allowed | added) - removed
    return allowed


@dataclass(frozen=True, kw_only=True, slots=True)
class Policy:
    """What the file says. A section that it leaves out is None, and left alone on the cluster."""

    file: str
    cluster: str | None = None
    qos: Mapping[str, Options] | None = None
    accounts: Mapping[str, Options] | None = None
    users: Mapping[str, Options] | None = None
    seats: Mapping[Seat, Options] | None = None
    """None if and only if `users` is."""
    partitions: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    nodes: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    slurm_conf: Mapping[str, str] = field(default_factory=dict)
    cgroup_conf: Mapping[str, str] = field(default_factory=dict)
    objectives: tuple[Objective, ...] = ()
    """What it is to reach on a trace. They change nothing on the cluster."""
    lines: Mapping[Keys, int] = field(default_factory=dict)

    def place(self, *path: str) -> str:
        """``FILE:LINE`` of a key, or of the nearest one above it that is in the file."""
        while path and path not in self.lines:
            path = path[:-1]
        return f"{self.file}:{self.lines.get(path, 1)}"


def desired(policy: Policy, state: State) -> State:
    """The state that the file asks for: its sections, and what the cluster has for those that it leaves out."""
    return replace(
        state,
        qos=_with_texts(policy.qos, state.qos),
        accounts=_desired_accounts(policy, state),
        users=_desired_users(policy, state),
        seats=_desired_seats(policy, state),
    )


def _with_texts(wanted: Mapping[str, Options] | None, there: Mapping[str, Options]) -> Mapping[str, Options]:
    """What is wanted, with the descriptions that are there where the file has none."""
    if wanted is None:
        return there
    return {
        name: {key: text for key, text in there.get(name, {}).items() if key in (DESCRIPTION, ORGANIZATION)}
        | dict(options)
        for name, options in wanted.items()
    }


def _desired_accounts(policy: Policy, state: State) -> Mapping[str, Options]:
    """The root account is always there; without an entry in the file it stays as it is."""
    root = {ROOT: state.accounts[ROOT]} if ROOT in state.accounts else {}
    return root | dict(_with_texts(policy.accounts, state.accounts))


def _desired_users(policy: Policy, state: State) -> Mapping[str, Options]:
    """The user root is always there; without an entry in the file it stays as it is.

    Unless the file says otherwise, the first account is a user's default; one who has no default keeps to that.
    """
    if policy.users is None or policy.seats is None:
        return state.users
    first: dict[str, str] = {}
    for seat in policy.seats:
        first.setdefault(seat.user, seat.account)
    root = {ROOT_USER: state.users[ROOT_USER]} if ROOT_USER in state.users else {}
    without = {name for name, options in state.users.items() if DEFAULT_ACCOUNT not in options}
    return root | {
        name: options if name in without else {DEFAULT_ACCOUNT: first[name]} | dict(options)
        for name, options in policy.users.items()
    }


def _desired_seats(policy: Policy, state: State) -> Mapping[Seat, Options]:
    """Those of the user root that the file does not mention stay, as long as their accounts do."""
    accounts = _desired_accounts(policy, state)
    if policy.seats is None or policy.users is None:
        return {
            seat: options for seat, options in state.seats.items() if seat.user != ROOT_USER or seat.account in accounts
        }
    kept = {
        seat: options
        for seat, options in state.seats.items()
        if seat.user == ROOT_USER
        and seat.account in accounts
        and (ROOT_USER not in policy.users or seat.account == ROOT)
    }
    return kept | dict(policy.seats)
