"""Checks a policy in itself and against the cluster: unknown names, circles, defaults that are not allowed, settings
that do nothing there."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from itertools import chain as chained

from passingloop.policy.entities import Keys, Policy, Seat, State, allowed_qos, desired
from passingloop.policy.fields import DEFAULT_QOS, PARENT, PREEMPT, QOS_LIST, ROOT, SHARES, Option, Options
from passingloop.policy.site_lines import read_settings, same_setting
from passingloop.text import list_excerpt

Problem = tuple[int, str]
"""A line of the file, and a sentence."""


def file_problems(policy: Policy) -> Iterator[Problem]:
    """What is wrong whatever the cluster has."""
    yield from _unknown_names(policy, policy.qos, policy.accounts)
    yield from _circles(policy, "accounts", {name: _parents(one) for name, one in (policy.accounts or {}).items()})
    yield from _circles(policy, "qos", {name: _listed(one, PREEMPT) for name, one in (policy.qos or {}).items()})


def cluster_problems(policy: Policy, state: State) -> Iterator[Problem]:
    """What is wrong on this cluster: names that neither the file nor the cluster has, and what slurmdbd refuses."""
    wanted = desired(policy, state)
    if policy.qos is None or policy.accounts is None:
        yield from _unknown_names(policy, wanted.qos, wanted.accounts)
    yield from _needed_qos(policy, state, wanted)
    yield from _unknown_resources(policy, state.tres)
    yield from _forbidden_defaults(policy, wanted)
    if policy.users is None:
        yield from _users_without_account(policy, wanted)


def _line(policy: Policy, *path: str) -> int:
    while path and path not in policy.lines:
        path = path[:-1]
    return policy.lines.get(path, 1)


def _parents(options: Options) -> list[str]:
    return [options[PARENT]] if PARENT in options else []


def _listed(options: Options, option: tuple[str, str]) -> list[str]:
    return [name.lstrip("+-") for name in options.get(option, "").split(",") if name]


def _places(policy: Policy) -> Iterator[tuple[Keys, Options]]:
    """All settings of accounts, and of users in accounts."""
    yield from ((("accounts", name), options) for name, options in (policy.accounts or {}).items())
    yield from (((*_seat_path(seat),), options) for seat, options in (policy.seats or {}).items())


def _seat_path(seat: Seat) -> Keys:
    return "users", seat.user, "accounts", seat.account


def _unknown_names(policy: Policy, qos: Collection[str] | None, accounts: Collection[str] | None) -> Iterator[Problem]:
    """Names of QOS and accounts that do not exist. None: they are not known yet."""
    if qos is not None:
        uses = [(("qos", name), options) for name, options in (policy.qos or {}).items()] + list(_places(policy))
        keys = {PREEMPT: "preempts", QOS_LIST: "qos", DEFAULT_QOS: "default_qos"}
        for path, options in uses:
            for option, key in keys.items():
                for name in _listed(options, option):
                    if name not in qos:
                        yield _line(policy, *path, key), _no_such(".".join((*path, key)), "QOS", name, qos)
    if accounts is not None:
        known = {*accounts, ROOT}
        for name, options in (policy.accounts or {}).items():
            for parent in _parents(options):
                if parent not in known:
                    path = ("accounts", name, "parent")
                    yield _line(policy, *path), _no_such(".".join(path), "account", parent, known)
        for seat in policy.seats or ():
            if seat.account not in known:
                path = _seat_path(seat)
                yield _line(policy, *path), _no_such(".".join(path[:-1]), "account", seat.account, known)


def _no_such(where: str, what: str, name: str, known: Collection[str]) -> str:
    listed = ", ".join(sorted(known)[:10]) or "none"
    return f"{where} names the {what} {name}, which does not exist. There are {listed}."


def _circles(policy: Policy, section: str, graph: Mapping[str, Collection[str]]) -> Iterator[Problem]:
    """A sentence for each circle, at the line of the one that is first in the file."""
    left = {name: set(into) & set(graph) for name, into in graph.items()}
    while ends := [name for name in left if not left[name] & set(left)]:
        for name in ends:
            del left[name]
    while left:
        circle = _walk(left)
        key, verb = ("parent", "is below") if section == "accounts" else ("preempts", "preempts")
        words = f" {verb} ".join([*circle, circle[0]])
        yield _line(policy, section, circle[0], key), f"{section} has a circle: {words}. Take one step of it out."
        for name in circle:
            del left[name]
        while ends := [name for name in left if not left[name] & set(left)]:
            for name in ends:
                del left[name]


def _walk(graph: Mapping[str, Collection[str]]) -> list[str]:
    """A circle in a graph in which every node leads on."""
    seen: list[str] = []
    name = next(iter(graph))
    while name not in seen:
        seen.append(name)
        name = sorted(set(graph[name]) & set(graph))[0]
    circle = seen[seen.index(name) :]
    first = min(range(len(circle)), key=lambda index: list(graph).index(circle[index]))
    return circle[first:] + circle[:first]


def _needed_qos(policy: Policy, state: State, wanted: State) -> Iterator[Problem]:
    """QOS that the file leaves out while something that it leaves alone needs them."""
    for name in state.qos:
        if name in wanted.qos:
            continue
        places: list[tuple[object, Options]] = []
        if policy.accounts is None:
            places += [(f"the account {account}", options) for account, options in wanted.accounts.items()]
        if policy.seats is None:
            places += wanted.seats.items()
        needs = [f"the default of {place}" for place, options in places if options.get(DEFAULT_QOS) == name]
        needs += ["the QOS of a partition"] if name in state.of_partitions else []
        if needs:
            yield _line(policy, "qos"), f"the QOS {name} is not in the file, but is {list_excerpt(needs, 3)}. Add it."


def _users_without_account(policy: Policy, wanted: State) -> Iterator[Problem]:
    """Users who stay, as the file leaves them alone, while their account does not."""
    users: dict[str, list[str]] = {}
    for seat in wanted.seats:
        if seat.account not in wanted.accounts:
            users.setdefault(seat.account, []).append(seat.user)
    for account, names in users.items():
        yield (
            _line(policy, "accounts"),
            f"the account {account} is not in the file, but has users: {list_excerpt(names, 5)}. Add the account, or a "
            "section `users` that has these elsewhere.",
        )


def _unknown_resources(policy: Policy, known: Collection[str]) -> Iterator[Problem]:
    """Limits on resources that the cluster does not count."""
    for path, options in [*((("qos", n), o) for n, o in (policy.qos or {}).items()), *_places(policy)]:
        for _, tres in options:
            if tres and tres not in known:
                yield (
                    _line(policy, *path),
                    f"{'.'.join(path)} limits {tres}, which the cluster does not count. Add it to "
                    "AccountingStorageTRES in slurm.conf and restart slurmctld, or take the limit out.",
                )


def _forbidden_defaults(policy: Policy, wanted: State) -> Iterator[Problem]:
    """Default QOS that may not be used where they apply: sacctmgr refuses them, with exit code 0."""
    places: list[tuple[Keys, list[Options]]] = [
        *((("accounts", name), [wanted.accounts[one] for one in wanted.chain(name)]) for name in wanted.accounts),
        *((_seat_path(seat), wanted.above(seat)) for seat in wanted.seats),
    ]
    for path, chain in places:
        default = next((options[DEFAULT_QOS] for options in chain if DEFAULT_QOS in options), None)
        allowed = allowed_qos(chain)
        if default and default not in allowed and (DEFAULT_QOS in chain[0] or QOS_LIST in chain[0]):
            key = "default_qos" if DEFAULT_QOS in chain[0] else "qos"
            yield (
                _line(policy, *path, key),
                f"{'.'.join(path)} has the default QOS {default}, but may use only "
                f"{', '.join(sorted(allowed)) or 'none'}. Change qos or default_qos.",
            )


# --- what is said in vain, because of how the cluster is configured ----------------------------------------------

LIMIT_STARTS = ("Max", "Min", "Grp")
BUDGETS = ("GrpTRESMins", "GrpWall")


def vain_settings(state: State, config: str) -> list[str]:
    """A sentence for each part of the policy that does nothing.

    Args:
        state: as it is to be.
        config: the output of ``scontrol show config``.
    """
    settings, _ = read_settings(config)
    return list(_sentences(_options(state), settings, {option for one in state.qos.values() for option in one}))


def _options(state: State) -> set[Option]:
    everything = chained(state.qos.values(), state.accounts.values(), state.seats.values())
    return {option for options in everything for option in options}


def _sentences(used: set[Option], settings: Mapping[str, str], by_qos: set[Option]) -> Iterator[str]:
    enforced = set(settings.get("AccountingStorageEnforce", "").lower().split(","))
    names = {option for option, _ in used}
    if any(name.startswith(LIMIT_STARTS) for name in names) and not enforced & {"limits", "safe", "all"}:
        yield "Limits are not enforced: AccountingStorageEnforce in slurm.conf has no `limits`."
    if QOS_LIST in used and not enforced & {"qos", "all"}:
        yield "Anybody may use any QOS: AccountingStorageEnforce in slurm.conf has no `qos`."
    if PREEMPT in used and settings.get("PreemptType") != "preempt/qos":
        yield f"No QOS preempts another: PreemptType in slurm.conf is {settings.get('PreemptType')}, not preempt/qos."
    if settings.get("PriorityType") != "priority/multifactor":
        yield f"Shares and priorities count for nothing: PriorityType is {settings.get('PriorityType')}."
    else:
        yield from _weightless(used, settings, by_qos)
    never = same_setting("NONE", settings.get("PriorityUsageResetPeriod", "NONE"))
    if names & set(BUDGETS) and never and same_setting("0:00:00", settings.get("PriorityDecayHalfLife", "")):
        yield "Budgets never renew: slurm.conf has neither PriorityUsageResetPeriod nor PriorityDecayHalfLife."


def _weightless(used: set[Option], settings: Mapping[str, str], by_qos: set[Option]) -> Iterator[str]:
    if SHARES in used and settings.get("PriorityWeightFairShare") == "0":
        yield "Shares count for nothing: PriorityWeightFairshare in slurm.conf is 0."
    if ("Priority", "") in by_qos and settings.get("PriorityWeightQOS") == "0":
        yield "The priorities of QOS count for nothing: PriorityWeightQOS in slurm.conf is 0."
