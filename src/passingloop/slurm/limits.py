"""A request against what the cluster has and allows, before it is submitted."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

from passingloop.slurm import caps
from passingloop.slurm.batch import Request
from passingloop.slurm.facts import Facts, with_database
from passingloop.slurm.notation import megabytes, seconds, words
from passingloop.slurm.partition import Partition
from passingloop.slurm.policy import Qos


def check(counts: Mapping[Request, int], known: Facts) -> list[str]:
    """Why so many jobs of each request would not run; a sentence each. Asks slurmdbd where that decides."""
    if any(is_doubtful(request, known, count) for request, count in counts.items()):
        known = with_database(known)
    sentences = [problem for request, count in counts.items() for problem in problems(request, known, count)]
    return list(dict.fromkeys(sentences))


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
    return any(node.gpus for chosen in facts.chosen(partition) for node in chosen.nodes)


def cpus_per_task(facts: Facts, partition: str | None, gpus: int, tasks: int) -> int:
    """The CPUs that go with one of `tasks` processes on `gpus` GPUs: those of a node, divided fairly.

    By the poorest of the nodes that have so many GPUs, unless the site says how many go with a GPU; one for a process
    without a GPU.
    """
    chosen = facts.chosen(partition) if gpus else []
    shares = [
        _with_gpus(node.cpus, node.gpus, gpus, part) for part in chosen for node in part.nodes if node.gpus >= gpus
    ]
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
        list(dict.fromkeys([*misfits(request, partition, qos), *caps.excesses(request, facts, partition, qos, count)]))
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


def misfits(request: Request, partition: Partition, qos: Qos | None) -> Iterator[str]:
    """Why the partition is none for such jobs, with `qos`, which may lift some of its limits; a sentence each."""
    if not partition.open:
        yield f"Partition {partition.name} takes no jobs. Set another cluster.partition, or ask when it will."
    flags = qos.flags if qos else frozenset[str]()
    yield from _size(request, partition, flags)
    asked = seconds(request.time) if request.time else None
    if asked and partition.max_time is not None and asked > partition.max_time and "PartitionTimeLimit" not in flags:
        yield (
            f"You set resources.time={request.time}, but partition {partition.name} allows "
            f"{words(partition.max_time)}. Set resources.time to that or less, or another cluster.partition."
        )
    yield from _admission("account", request.account, partition, partition.accounts, partition.accounts_denied)
    yield from _admission("qos", request.qos, partition, partition.qos, partition.qos_denied)
    yield from _node(request, partition)


def _size(request: Request, partition: Partition, flags: Collection[str]) -> Iterator[str]:
    nodes = f"You set resources.nodes={request.nodes}, but"
    name = f"partition {partition.name}"
    if request.nodes > partition.nodes_in_all > 0:
        yield f"{nodes} {name} has {partition.nodes_in_all}. Set fewer, or another cluster.partition."
    elif partition.max_nodes is not None and request.nodes > partition.max_nodes and "PartitionMaxNodes" not in flags:
        yield f"{nodes} {name} gives a job {partition.max_nodes}. Set fewer, or another cluster.partition."
    if request.nodes < partition.min_nodes and "PartitionMinNodes" not in flags:
        yield f"{nodes} {name} is for jobs of {partition.min_nodes} or more. Set another cluster.partition."


def _admission(
    key: str, value: str | None, partition: Partition, allowed: Collection[str] | None, denied: Collection[str]
) -> Iterator[str]:
    if value is None:
        return
    if allowed is not None and value.lower() not in allowed:
        yield (
            f"You set cluster.{key}={value}, but partition {partition.name} is for {', '.join(allowed)}. "
            "Set one of these, or another cluster.partition."
        )
    elif allowed is None and value.lower() in denied:
        yield f"You set cluster.{key}={value}, but partition {partition.name} does not take it. Set another."


def _node(request: Request, partition: Partition) -> Iterator[str]:
    """What no node of the partition has, if all of them are seen."""
    nodes = partition.nodes
    if not nodes or len(nodes) < partition.nodes_in_all:
        return
    gpus, cpus, mem = (max(values) for values in zip(*((n.gpus, n.cpus, n.mem) for n in nodes), strict=True))
    cpus, mem = min(cpus, partition.max_cpus or cpus), min(mem, partition.max_mem or mem)
    where = f"no node of partition {partition.name} gives more than"
    if request.gpus > gpus:
        spread = "Spread them over resources.nodes." if gpus else "Set another cluster.partition."
        yield f"You set resources.gpus={request.gpus} per node, but {where} {gpus}. {spread}"
    if request.cpus and request.cpus * request.tasks > cpus:
        each = f" for each of {request.tasks} processes" if request.tasks > 1 else ""
        yield f"You set resources.cpus={request.cpus}{each}, but {where} {cpus}. Set fewer."
    if request.mem is not None and megabytes(request.mem) > mem:
        yield f"You set resources.mem={request.mem}, but {where} {mem}M. Set less."
