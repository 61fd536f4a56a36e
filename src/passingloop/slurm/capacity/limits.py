"""Checks a request against the cluster's nodes, partitions, accounts and QOS before it is submitted."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

from passingloop.slurm.batch import Request
from passingloop.slurm.capacity import caps
from passingloop.slurm.capacity.facts import Facts, complete_from_database
from passingloop.slurm.capacity.partition import Partition
from passingloop.slurm.capacity.policy import Qos
from passingloop.slurm.notation import duration_text, megabytes, seconds


def submission_problems(counts: Mapping[Request, int], known: Facts) -> list[str]:
    """A sentence for each reason why the cluster would not run the jobs. Asks slurmdbd if the result depends on it.

    Args:
        counts: how many jobs of each request are to be submitted.
    """
    if any(needs_database(request, known, count) for request, count in counts.items()):
        known = complete_from_database(known)
    sentences = [problem for request, count in counts.items() for problem in request_problems(request, known, count)]
    return list(dict.fromkeys(sentences))


def possible_requests(requests: Collection[Request], known: Facts) -> list[Request]:
    """Those of which the cluster would run one job. Asks slurmdbd if the result depends on it."""
    if any(needs_database(request, known, 1) for request in requests):
        known = complete_from_database(known)
    return [request for request in requests if not request_problems(request, known, 1)]


def startable_requests(requests: Collection[Request], known: Facts, freed: int) -> list[Request]:
    """Those for which limits on GPUs in use leave room now, `freed` GPUs included that are about to be free.

    Slurm's estimates leave these limits out. It asks slurmdbd where only that knows the QOS.
    """
    if known.qos and any(request.qos is None for request in requests):
        known = complete_from_database(known)
    return [request for request in requests if _has_room(request, known, freed)]


def _has_room(request: Request, facts: Facts, freed: int) -> bool:
    return any(
        caps.has_room(request, facts, partition, qos, freed)
        for partition in facts.named_partitions(request.partition)
        for qos in caps.qos_candidates(request, facts, partition)
    )


def request_problems(request: Request, facts: Facts, count: int) -> list[str]:
    """A sentence for each reason why the cluster would not run `count` jobs of `request`.

    One suitable partition of several is enough, and one suitable QOS where it is unknown which one the job gets.
    """
    return min(_outcomes(request, facts, count), key=len, default=[])


def needs_database(request: Request, facts: Facts, count: int) -> bool:
    """Whether the result of `request_problems` depends on facts that only slurmdbd has, such as flags and defaults."""
    outcomes = _outcomes(request, facts, count)
    chosen = facts.qos.get((request.qos or "").lower())
    return any(outcomes) or (chosen is not None and not chosen.has_user_caps and request.gpus > 0)


def has_gpus(facts: Facts, partition: str | None) -> bool:
    """Whether a node of the partition, or of one of several separated by commas, has a GPU."""
    return any(node.gpus for chosen in facts.named_partitions(partition) for node in chosen.nodes)


def cpus_per_task(facts: Facts, partition: str | None, gpus: int, tasks: int) -> int:
    """CPUs per process for `tasks` processes that share `gpus` GPUs of a node; 1 without GPUs.

    A node's CPUs are divided in proportion to its GPUs, unless the partition sets a number per GPU. The smallest share
    over all nodes with enough GPUs is used.
    """
    chosen = facts.named_partitions(partition) if gpus else []
    shares = [
        _cpu_share(node.cpus, node.gpus, gpus, part) for part in chosen for node in part.nodes if node.gpus >= gpus
    ]
    return max(1, min(shares, default=1) // tasks)


def shards_per_gpu(facts: Facts, partition: str | None) -> int:
    """Into how many parts (gres/shard) a GPU is divided, on the node that has most; 1 if none is."""
    nodes = [node for part in facts.named_partitions(partition) for node in part.nodes]
    return max((node.shards // node.gpus for node in nodes if node.gpus), default=1) or 1


def _cpu_share(cpus: int, node_gpus: int, gpus: int, partition: Partition) -> int:
    usable = min(cpus, partition.max_cpus or cpus)
    return min(usable, partition.cpus_per_gpu * gpus) if partition.cpus_per_gpu else usable * gpus // node_gpus


def _outcomes(request: Request, facts: Facts, count: int) -> list[list[str]]:
    """The problems for each combination of partition and QOS that the job may get."""
    unknown = list(_unknown_values(request, facts))
    if unknown:
        return [unknown]
    return [
        list(
            dict.fromkeys(
                [*partition_problems(request, partition, qos), *caps.excesses(request, facts, partition, qos, count)]
            )
        )
        for partition in facts.named_partitions(request.partition)
        for qos in caps.qos_candidates(request, facts, partition)
    ]


def _unknown_values(request: Request, facts: Facts) -> Iterator[str]:
    """A sentence for each partition, account or QOS that does not exist; none where the cluster does not list them."""
    shown = [name for name, partition in facts.partitions.items() if not partition.hidden]
    for name in (request.partition or "").split(","):
        if name and facts.partitions and name not in facts.partitions:
            yield _unknown_value_sentence("cluster.partition", name, shown)
    accounts = list(dict.fromkeys(account.name for account in facts.accounts))
    for key, value, known in (("account", request.account, accounts), ("qos", request.qos, list(facts.qos))):
        if value and known and value.lower() not in known:  # Slurm takes them in capitals too
            yield _unknown_value_sentence(f"cluster.{key}", value, known)


def _unknown_value_sentence(key: str, value: str, known: Collection[str]) -> str:
    import difflib  # late: 3 ms that only mistakes need

    near = difflib.get_close_matches(value.lower(), known, n=1)
    meant = f" Did you mean {near[0]}?" if near else ""
    return f"You set {key}={value}, but this cluster has only {', '.join(known)}.{meant}"


def partition_problems(request: Request, partition: Partition, qos: Qos | None) -> Iterator[str]:
    """A sentence for each reason why the partition does not take the job. Flags of `qos` may lift some limits."""
    if not partition.open:
        yield f"Partition {partition.name} takes no jobs. Set another cluster.partition, or ask when it will."
    flags = qos.flags if qos else frozenset[str]()
    yield from _size_problems(request, partition, flags)
    asked = seconds(request.time) if request.time else None
    if asked and partition.max_time is not None and asked > partition.max_time and "PartitionTimeLimit" not in flags:
        yield (
            f"You set resources.time={request.time}, but partition {partition.name} allows "
            f"{duration_text(partition.max_time)}. Set resources.time to that or less, or another cluster.partition."
        )
    yield from _admission_problems("account", request.account, partition, partition.accounts, partition.accounts_denied)
    yield from _admission_problems("qos", request.qos, partition, partition.qos, partition.qos_denied)
    yield from _node_problems(request, partition)


def _size_problems(request: Request, partition: Partition, flags: Collection[str]) -> Iterator[str]:
    nodes = f"You set resources.nodes={request.nodes}, but"
    name = f"partition {partition.name}"
    if request.nodes > partition.nodes_in_all > 0:
        yield f"{nodes} {name} has {partition.nodes_in_all}. Set fewer, or another cluster.partition."
    elif partition.max_nodes is not None and request.nodes > partition.max_nodes and "PartitionMaxNodes" not in flags:
        yield f"{nodes} {name} gives a job {partition.max_nodes}. Set fewer, or another cluster.partition."
    if request.nodes < partition.min_nodes and "PartitionMinNodes" not in flags:
        yield f"{nodes} {name} is for jobs of {partition.min_nodes} or more. Set another cluster.partition."


def _admission_problems(
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


def _node_problems(request: Request, partition: Partition) -> Iterator[str]:
    """A sentence for each resource that no node has enough of; none if some of the nodes are hidden."""
    nodes = partition.nodes
    if not nodes or len(nodes) < partition.nodes_in_all:
        return
    gpus, cpus, mem = (max(values) for values in zip(*((n.gpus, n.cpus, n.mem) for n in nodes), strict=True))
    cpus, mem = min(cpus, partition.max_cpus or cpus), min(mem, partition.max_mem or mem)
    where = f"no node of partition {partition.name} gives more than"
    if request.gpus > gpus:
        spread = "Spread them over resources.nodes." if gpus else "Set another cluster.partition."
        yield f"You set resources.gpus={request.gpus} per node, but {where} {gpus}. {spread}"
    kinds = sorted({kind for node in nodes for kind in node.gpu_kinds})
    if request.gpu_type and request.gpu_type not in kinds:
        there = f"has {', '.join(kinds)}" if kinds else "names no types of GPUs"
        yield f"You set resources.gpu_type={request.gpu_type}, but partition {partition.name} {there}."
    shards = max(node.shards for node in nodes)
    if request.shards > shards:
        there = f"{where} {shards}. Set fewer." if shards else f"partition {partition.name} has none. Leave it out."
        yield f"You set resources.shards={request.shards}, but {there}"
    if request.cpus and request.cpus * request.tasks > cpus:
        per_process = f" for each of {request.tasks} processes" if request.tasks > 1 else ""
        yield f"You set resources.cpus={request.cpus}{per_process}, but {where} {cpus}. Set fewer."
    if request.mem is not None and megabytes(request.mem) > mem:
        yield f"You set resources.mem={request.mem}, but {where} {mem}M. Set less."
