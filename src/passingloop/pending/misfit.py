"""Requests that cannot be met as they are: by the partition, by the nodes, or because they are not allowed there."""

from __future__ import annotations

from collections.abc import Iterator

from passingloop.pending.wording import amount_text, count_text
from passingloop.slurm.capacity.partition import Partition
from passingloop.slurm.notation import duration_text
from passingloop.slurm.waiting.evidence import Evidence


def misfits(evidence: Evidence) -> tuple[str, ...]:
    """A sentence for each thing in the request that its partitions or their nodes do not give."""
    known = evidence.cluster.partitions
    partitions = [known[name] for name in evidence.job.partitions if name in known]
    sentences = [sentence for partition in partitions for sentence in _partition_sentences(evidence, partition)]
    return tuple(dict.fromkeys([*sentences, *_feature_sentences(evidence)]))


def missing_features(evidence: Evidence) -> list[str]:
    """The features that the job asks for and no node of its partitions has."""
    job = evidence.job
    words = job.features.replace("&", ",").replace("|", ",").replace("(", "").replace(")", "").split(",")
    asked = [word.partition("*")[0].strip("[]! ") for word in words]
    there = {
        feature
        for node in evidence.cluster.nodes
        if set(node.partitions) & set(job.partitions)
        for feature in node.features
    }
    return [name for name in asked if name and name not in there]


def _partition_sentences(evidence: Evidence, partition: Partition) -> Iterator[str]:
    job, name = evidence.job, f"partition {partition.name}"
    if partition.max_time is not None and (job.limit is None or job.limit > partition.max_time):
        asked = duration_text(job.limit) if job.limit else "no time limit"
        yield f"It asks for {asked}, and {name} allows {duration_text(partition.max_time)}."
    if partition.max_nodes is not None and job.nodes > partition.max_nodes:
        yield f"It asks for {count_text(job.nodes, 'node')}, and {name} gives a job {partition.max_nodes}."
    if job.nodes < partition.min_nodes:
        yield f"It asks for {count_text(job.nodes, 'node')}, and {name} is for jobs of {partition.min_nodes} or more."
    if job.nodes > partition.nodes_in_all:
        yield f"It asks for {count_text(job.nodes, 'node')}, and {name} has {partition.nodes_in_all}."
    per_node = {kind: job.tres.get(kind, 0.0) / job.nodes for kind in ("gres/gpu", "cpu", "mem")}
    if partition.max_mem and per_node["mem"] > partition.max_mem:
        asked, most = amount_text("mem", per_node["mem"]), amount_text("mem", partition.max_mem)
        yield f"It asks for {asked} on a node, and {name} gives a job {most}."
    if len(partition.nodes) == partition.nodes_in_all > 0:
        have: dict[str, float] = {
            "gres/gpu": max(node.gpus for node in partition.nodes),
            "cpu": max(node.cpus for node in partition.nodes),
            "mem": max(node.mem for node in partition.nodes),
        }
        for kind, largest in have.items():
            if per_node[kind] > largest:
                yield (
                    f"It asks for {amount_text(kind, per_node[kind])} on a node, and no node of {name} has more than "
                    f"{amount_text(kind, largest)}."
                )
    yield from _admission_sentences(evidence, partition)


def _admission_sentences(evidence: Evidence, partition: Partition) -> Iterator[str]:
    job, name = evidence.job, f"partition {partition.name}"
    for kind, value, allowed, denied in (
        ("account", job.account, partition.accounts, partition.accounts_denied),
        ("QOS", job.qos, partition.qos, partition.qos_denied),
    ):
        if allowed is not None and value not in allowed:
            yield f"Its {kind} is {value}, and {name} is for {', '.join(allowed)}."
        elif value in denied:
            yield f"Its {kind} is {value}, which {name} does not take."


def _feature_sentences(evidence: Evidence) -> Iterator[str]:
    lacking = missing_features(evidence)
    if lacking:
        there = sorted({feature for node in evidence.cluster.nodes for feature in node.features})
        known = f"the cluster's nodes have {', '.join(there)}" if there else "the cluster's nodes have none"
        yield f"No node of its partitions has the feature {' or '.join(lacking)}; {known}."
