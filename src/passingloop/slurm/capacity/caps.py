"""Checks a request against the limits of QOS and accounts. Slurm accepts a job beyond them and never starts it."""

from __future__ import annotations

from collections.abc import Iterator

from passingloop.slurm.batch import Request
from passingloop.slurm.capacity.facts import Facts
from passingloop.slurm.capacity.partition import Partition
from passingloop.slurm.capacity.policy import Account, Cap, CapKey, Caps, Qos
from passingloop.slurm.notation import duration_text, megabytes, seconds

OVER_PARTITION = "OverPartQOS"
"""The flag of a QOS whose limits override those of the partition's own QOS."""

SCOPE_NAMES = {
    "job": "a job",
    "node": "a job on one node",
    "user": "a user",
    "account": "an account",
    "all": "all jobs together",
}

IN_USE = ("user", "account", "all")
"""Scopes of limits on what all jobs of somebody use together."""

SETTINGS = {
    "gres/gpu": "resources.gpus",
    "cpu": "resources.cpus",
    "mem": "resources.mem",
    "node": "resources.nodes",
    "gres/shard": "resources.shards",
}


def qos_candidates(request: Request, facts: Facts, partition: Partition) -> list[Qos | None]:
    """The QOS that the job may get: the one that is set, or all that may be the default. None: a job without a QOS."""
    account = facts.account(request.account, partition.name)
    name = request.qos or (account.default_qos if account else None)
    if name is not None:
        return [facts.qos.get(name.lower())]
    possible = account.qos if account and account.qos is not None else facts.qos
    return [facts.qos[name] for name in possible if name in facts.qos] or [None]


def excesses(request: Request, facts: Facts, partition: Partition, qos: Qos | None, count: int) -> Iterator[str]:
    """A sentence for each limit that `count` jobs in `partition` with `qos` exceed."""
    account = facts.account(request.account, partition.name)
    own = facts.qos.get((partition.own_qos or "").lower())
    ordered = (qos, own) if qos and OVER_PARTITION in qos.flags else (own, qos)
    ruled: set[CapKey] = set()  # a limit that one of them sets replaces the same limit of the later ones
    for owner in filter(None, ordered):
        left = {key: cap for key, cap in owner.caps.items() if key not in ruled}
        yield from _excesses_of(request, count, left, f"QOS {owner.name}", "cluster.qos")
        ruled |= owner.caps.keys()
    for name, caps in ((account.name, account.caps), *account.above) if account else ():
        left = {key: cap for key, cap in caps.items() if key not in ruled}
        yield from _excesses_of(request, count, left, f"account {name}", "cluster.account")


def has_room(request: Request, facts: Facts, partition: Partition, qos: Qos | None, freed: int) -> bool:
    """Whether the GPUs that `request` asks for are within what limits on GPUs in use leave now.

    Args:
        freed: GPUs in use that this user is about to free.
    """
    account = facts.account(request.account, partition.name)
    own = facts.qos.get((partition.own_qos or "").lower())
    caps = [caps for owner in filter(None, (qos, own)) for caps in _caps_in_use(owner, account)]
    caps += [above for _, above in account.above] if account else []
    limits = [cap for some in caps for (scope, what), cap in some.items() if what == "gres/gpu" and scope in IN_USE]
    return all(cap.used - freed + request.nodes * request.gpus <= cap.limit for cap in limits)


def _caps_in_use(qos: Qos, account: Account | None) -> list[Caps]:
    """The limits of a QOS with what is used; of those per account only this user's has the right use."""
    others = {key: cap for key, cap in qos.caps.items() if key[0] != "account"}
    return [others, qos.of_accounts.get(account.name, {}) if account else {}]


def _requested_amounts(request: Request, count: int) -> dict[str, float]:
    """What `count` jobs request, by the limited quantity (see `CapKey`), as far as it is known before they start."""
    amounts: dict[str, float] = {
        "cpu": request.nodes * request.tasks * (request.cpus or 1),
        "node": request.nodes,
        "gres/gpu": request.nodes * request.gpus,
        "gres/shard": request.nodes * request.shards,
        "jobs": count,
    }
    if request.mem is not None:
        amounts["mem"] = request.nodes * megabytes(request.mem)
    if request.time is not None:
        amounts["wall"] = seconds(request.time) or 0.0
    return amounts


def _excesses_of(request: Request, count: int, caps: Caps, name: str, setting: str) -> Iterator[str]:
    amounts = _requested_amounts(request, count)
    for (scope, what), cap in caps.items():
        if what not in amounts:
            continue
        asked = amounts[what] / request.nodes if scope == "node" else amounts[what]
        if what == "jobs":
            yield from _queue_excess(asked, cap, name)
        elif scope == "least" and asked < cap.limit:
            yield (
                f"You set {_setting(request, what)}, but {name} is for jobs of {_amount(what, cap.limit)} or more. "
                f"Set another {setting}."
            )
        elif scope != "least" and asked > cap.limit:
            yield (
                f"You set {_setting(request, what)}, but {name} gives {SCOPE_NAMES[scope]} {_amount(what, cap.limit)}. "
                f"Set less, or another {setting}."
            )


def _queue_excess(count: float, cap: Cap, name: str) -> Iterator[str]:
    if count + cap.used > cap.limit:
        yield (
            f"{count:.0f} jobs are to be submitted, but {name} lets {cap.limit} be in the queue, and {cap.used} are "
            "there. Submit fewer at a time."
        )


def _setting(request: Request, what: str) -> str:
    """The setting as typed, and the number of processes or nodes that it is multiplied by."""
    if what == "wall":
        return f"resources.time={request.time}"
    values = {
        "gres/gpu": request.gpus,
        "cpu": request.cpus or 1,
        "mem": request.mem,
        "node": request.nodes,
        "gres/shard": request.shards,
    }
    factors = [f"{request.tasks} processes"] if what == "cpu" and request.tasks > 1 else []
    factors += [f"{request.nodes} nodes"] if what != "node" and request.nodes > 1 else []
    return f"{SETTINGS[what]}={values[what]}" + "".join(f" for each of {factor}" for factor in factors)


def _amount(what: str, limit: int) -> str:
    if what == "wall":
        return duration_text(limit)
    if what == "mem":
        return f"{limit}M" if limit % 1024 else f"{limit // 1024}G"
    unit = {"cpu": "CPU", "gres/gpu": "GPU", "gres/shard": "shard", "node": "node"}[what]
    return f"{limit} {unit}" if limit == 1 else f"{limit} {unit}s"
