"""A request against what the cluster has and allows, before it is submitted. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from passingloop.slurm import caps, fit
from passingloop.slurm.facts import Facts
from passingloop.slurm.job_request import Request
from passingloop.slurm.partition import Partition


def problems(request: Request, facts: Facts, count: int) -> list[str]:
    """Why the cluster would not run `count` jobs of `request`; a sentence each, with what is allowed.

    Of several partitions one has to do, and where it is not known which QOS a job gets, one of those there are.
    """
    return min(_outcomes(request, facts, count), key=len, default=[])


def is_doubtful(request: Request, facts: Facts, count: int) -> bool:
    """Whether the answer of `problems` hangs on what only the database knows: flags and defaults, for two."""
    outcomes = _outcomes(request, facts, count)
    chosen = facts.qos.get((request.qos or "").lower())
    return any(outcomes) or (chosen is not None and not chosen.users_known and request.gpus > 0)


def has_gpus(facts: Facts, partition: str | None) -> bool:
    """Whether nodes of the partition, or of one of them, have any."""
    return any(node.gpus for found in facts.chosen(partition) for node in found.nodes)


def share(facts: Facts, partition: str | None, gpus: int, tasks: int) -> int:
    """The CPUs that go with one of `tasks` processes on `gpus` GPUs: those of a node, divided fairly.

    By the poorest of the nodes that have so many GPUs, unless the site says how many go with a GPU; one for a process
    without a GPU.
    """
    chosen = facts.chosen(partition) if gpus else []
    shares = [_with_gpus(node.cpus, node.gpus, gpus, one) for one in chosen for node in one.nodes if node.gpus >= gpus]
    return max(1, min(shares, default=1) // tasks)


def _with_gpus(cpus: int, of: int, gpus: int, partition: Partition) -> int:
    usable = min(cpus, partition.max_cpus or cpus)
    return min(usable, partition.cpus_per_gpu * gpus) if partition.cpus_per_gpu else usable * gpus // of


def _outcomes(request: Request, facts: Facts, count: int) -> list[list[str]]:
    """Of each way that the job may go."""
    unknown = list(_unknown(request, facts))
    if unknown:
        return [unknown]
    return [
        list(dict.fromkeys([*fit.misfits(request, partition, qos), *caps.over(request, facts, partition, qos, count)]))
        for partition in facts.chosen(request.partition)
        for qos in caps.candidates(request, facts, partition)
    ]


def _unknown(request: Request, facts: Facts) -> Iterator[str]:
    """Values that the cluster does not know; nothing is said where it does not tell what it knows."""
    shown = [name for name, partition in facts.partitions.items() if not partition.hidden]
    for name in (request.partition or "").split(","):
        if name and facts.partitions and name not in facts.partitions:
            yield _not_there("cluster.partition", name, shown)
    accounts = list(dict.fromkeys(account.name for account in facts.accounts))
    for key, value, known in (("account", request.account, accounts), ("qos", request.qos, list(facts.qos))):
        if value and known and value.lower() not in known:  # Slurm takes them in capitals too
            yield _not_there(f"cluster.{key}", value, known)


def _not_there(key: str, value: str, known: Collection[str]) -> str:
    import difflib  # late: 3 ms that only mistakes need

    near = difflib.get_close_matches(value.lower(), known, n=1)
    meant = f" Did you mean {near[0]}?" if near else ""
    return f"You set {key}={value}, but there is {', '.join(known)}.{meant}"
