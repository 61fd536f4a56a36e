"""States of slurmdbd that are consistent, of any shape."""

from __future__ import annotations

from hypothesis import strategies as st

from passingloop.policy.entities import Seat, State, allowed_qos
from passingloop.policy.fields import DEFAULT_QOS, QOS_LIST, Options

QOS_NAMES = ("high", "low", "mid", "spare")
ACCOUNT_NAMES = ("a", "b", "c", "d", "e")
USER_NAMES = ("ada", "bob", "cai", "no", "0123")

LIMITS = {
    ("MaxWall", ""): st.sampled_from(["60", "14400", "259200"]),
    ("GrpTRES", "gres/gpu"): st.sampled_from(["0", "2", "16"]),
    ("GrpTRES", "mem"): st.sampled_from(["1000", "65536"]),
    ("GrpTRESMins", "gres/gpu"): st.sampled_from(["300000", "100", "30"]),
    ("GrpTRESMins", "billing"): st.sampled_from(["7"]),
    ("MaxTRES", "gres/gpu:h100"): st.sampled_from(["1"]),
}


def limits() -> st.SearchStrategy[Options]:
    """Some limits that a QOS and an account may both have."""
    return st.fixed_dictionaries({}, optional=LIMITS)


@st.composite
def states(draw: st.DrawFn) -> State:
    """A state: QOS in an order in which each preempts earlier ones, accounts below one another, users in them."""
    names = draw(st.lists(st.sampled_from(QOS_NAMES), min_size=1, unique=True))
    qos = {}
    for number, name in enumerate(names):
        preempts = draw(st.lists(st.sampled_from(names[:number]), unique=True)) if number else []
        qos[name] = dict(draw(limits())) | ({("Preempt", ""): ",".join(sorted(preempts))} if preempts else {})
    accounts: dict[str, Options] = {"root": places(draw, names, [])}
    for name in draw(st.lists(st.sampled_from(ACCOUNT_NAMES), unique=True)):
        parent = draw(st.sampled_from(sorted(accounts)))
        chain = State(cluster="dev", qos={}, accounts=accounts, users={}, seats={}).chain(parent)
        above = [accounts[one] for one in chain]
        accounts[name] = {("Parent", ""): parent} | dict(draw(limits())) | dict(places(draw, names, above))
    users: dict[str, Options] = {}
    seats: dict[Seat, Options] = {}
    for user in draw(st.lists(st.sampled_from(USER_NAMES), unique=True)) if len(accounts) > 1 else []:
        own = draw(st.lists(st.sampled_from(sorted(accounts.keys() - {"root"})), min_size=1, max_size=3, unique=True))
        for account in own:
            for partition in draw(st.sampled_from([("",), ("", "short"), ("short",)])):
                base = State(cluster="dev", qos={}, accounts=accounts, users={}, seats={})
                above = [accounts[one] for one in base.chain(account)]
                seats[Seat(user, account, partition)] = dict(draw(limits())) | dict(places(draw, names, above))
        users[user] = {("DefaultAccount", ""): draw(st.sampled_from(own))}
    return State(cluster="dev", qos=qos, accounts=accounts, users=users, seats=seats)


def places(draw: st.DrawFn, names: list[str], above: list[Options]) -> Options:
    """A list of QOS, or that of those above, and a default that is in it, or that of those above."""
    given = next((options[DEFAULT_QOS] for options in above if DEFAULT_QOS in options), None)
    own = [] if above and draw(st.booleans()) else draw(st.lists(st.sampled_from(names), min_size=1, unique=True))
    allowed = own or sorted(allowed_qos(above))
    listed = {QOS_LIST: ",".join(sorted(own))} if own else {}
    if given in allowed and draw(st.booleans()):
        return listed
    return listed | {DEFAULT_QOS: draw(st.sampled_from(allowed))}
