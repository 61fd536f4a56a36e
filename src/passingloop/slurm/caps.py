"""A request against the limits of QOS and accounts. Slurm takes a job beyond them all the same, and never starts it."""

from __future__ import annotations

from collections.abc import Iterator

from passingloop.slurm.batch import Request
from passingloop.slurm.facts import Facts
from passingloop.slurm.notation import megabytes, seconds, words
from passingloop.slurm.partition import Partition
from passingloop.slurm.policy import Cap, Caps, Key, Qos

OVER_PARTITION = "OverPartQOS"
"""The flag of a QOS whose limits go before those of the partition's own QOS."""

WHOM = {
    "job": "a job",
    "node": "a job on one node",
    "user": "a user",
    "account": "an account",
    "all": "all jobs together",
}

SETTINGS = {"gres/gpu": "resources.gpus", "cpu": "resources.cpus", "mem": "resources.mem", "node": "resources.nodes"}


def candidates(request: Request, facts: Facts, partition: Partition) -> list[Qos | None]:
    """The QOS that the job may get: the one that is set, or all that may be the default. None has no limits."""
    account = facts.account(request.account, partition.name)
    name = request.qos or (account.default_qos if account else None)
    if name is not None:
        return [facts.qos.get(name.lower())]
    possible = account.qos if account and account.qos is not None else facts.qos
    return [facts.qos[name] for name in possible if name in facts.qos] or [None]


def over(request: Request, facts: Facts, partition: Partition, qos: Qos | None, count: int) -> Iterator[str]:
    """What keeps `count` jobs in `partition` with `qos` from being submitted or from ever starting."""
    account = facts.account(request.account, partition.name)
    own = facts.qos.get((partition.own_qos or "").lower())
    ordered = (qos, own) if qos and OVER_PARTITION in qos.flags else (own, qos)
    ruled: set[Key] = set()  # of what one has a limit for, the later ones have none
    for owner in filter(None, ordered):
        left = {key: cap for key, cap in owner.caps.items() if key not in ruled}
        yield from _beyond(request, count, left, f"QOS {owner.name}", "cluster.qos")
        ruled |= owner.caps.keys()
    for name, caps in ((account.name, account.caps), *account.above) if account else ():
        left = {key: cap for key, cap in caps.items() if key not in ruled}
        yield from _beyond(request, count, left, f"account {name}", "cluster.account")


def _wanted(request: Request, count: int) -> dict[str, float]:
    """By what is limited, as far as it is known before the job runs."""
    wanted: dict[str, float] = {
        "cpu": request.nodes * request.tasks * (request.cpus or 1),
        "node": request.nodes,
        "gres/gpu": request.nodes * request.gpus,
        "jobs": count,
    }
    if request.mem is not None:
        wanted["mem"] = request.nodes * megabytes(request.mem)
    if request.time is not None:
        wanted["wall"] = seconds(request.time) or 0.0
    return wanted


def _beyond(request: Request, count: int, caps: Caps, name: str, setting: str) -> Iterator[str]:
    wanted = _wanted(request, count)
    for (scope, what), cap in caps.items():
        if what not in wanted:
            continue
        asked = wanted[what] / request.nodes if scope == "node" else wanted[what]
        if what == "jobs":
            yield from _jobs(asked, cap, name)
        elif scope == "least" and asked < cap.limit:
            yield (
                f"You set {_setting(request, what)}, but {name} is for jobs of {_amount(what, cap.limit)} or more. "
                f"Set another {setting}."
            )
        elif scope != "least" and asked > cap.limit:
            yield (
                f"You set {_setting(request, what)}, but {name} gives {WHOM[scope]} {_amount(what, cap.limit)}. "
                f"Set less, or another {setting}."
            )


def _jobs(count: float, cap: Cap, name: str) -> Iterator[str]:
    if count + cap.now > cap.limit:
        yield (
            f"{count:.0f} jobs are to be submitted, but {name} lets {cap.limit} be in the queue, and {cap.now} are "
            "there. Submit fewer at a time."
        )


def _setting(request: Request, what: str) -> str:
    """As it was typed, with what else it is multiplied by."""
    if what == "wall":
        return f"resources.time={request.time}"
    values = {"gres/gpu": request.gpus, "cpu": request.cpus or 1, "mem": request.mem, "node": request.nodes}
    times = [f"{request.tasks} processes"] if what == "cpu" and request.tasks > 1 else []
    times += [f"{request.nodes} nodes"] if what != "node" and request.nodes > 1 else []
    return f"{SETTINGS[what]}={values[what]}" + "".join(f" for each of {factor}" for factor in times)


def _amount(what: str, limit: int) -> str:
    if what == "wall":
        return words(limit)
    if what == "mem":
        return f"{limit}M" if limit % 1024 else f"{limit // 1024}G"
    unit = {"cpu": "CPU", "gres/gpu": "GPU", "node": "node"}[what]
    return f"{limit} {unit}" if limit == 1 else f"{limit} {unit}s"
