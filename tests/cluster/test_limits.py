"""What is said of a request before it is submitted, held against what a real Slurm then makes of it."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from passingloop.slurm.batch import Request
from passingloop.slurm.capacity.facts import Facts, cluster_facts
from passingloop.slurm.capacity.limits import cpus_per_task, has_gpus, submission_problems
from tests.cluster.cluster import Cluster, until

POLICY = """
add qos narrow set MaxWall=1:00:00 MaxTRESPerJob=gres/gpu=1,node=1 MaxTRESPerNode=cpu=2
add qos fresh set MaxTRESPerUser=gres/gpu=1
add qos free set MaxTRESPerJob=gres/gpu=2 Flags=PartitionTimeLimit,OverPartQOS
add qos large set MinTRESPerJob=cpu=2
add account tight set Parent=research MaxWall=30 MaxTRES=cpu=3 GrpTRES=gres/gpu=1
add user {user} Account=tight QOS=narrow,production,scavenger DefaultQOS=production
modify user {user} where Account=team-a set QOS+=narrow,fresh,free,large
"""
AFTERWARDS = """
delete user {user} where Account=tight
delete account tight
modify user {user} where Account=team-a set QOS=interactive,production,scavenger
delete qos narrow,fresh,free,large
"""
PARTITION = ("PartitionName=lab", "Nodes=n1", "QOS=narrow", "DenyQos=scavenger", "DenyAccounts=team-b")

SMALL = Request(
    name="x", nodes=1, gpus=0, tasks=1, cpus=1, mem="100M", time="5", partition=None, account=None, qos=None, extra=()
)

RUNS: dict[str, dict[str, Any]] = {
    "small": {},
    "capitals": {"account": "TEAM-B", "qos": "Production"},
    "one of two partitions has the time": {"partition": "short,main", "time": "2:00:00"},
    "the QOS lifts the partition's time": {"partition": "short", "qos": "free", "time": "2:00:00"},
    "the QOS has a longer time than the account": {"account": "tight", "qos": "narrow", "time": "45"},
    "and so has the default QOS": {"account": "tight", "time": "45"},
    "the QOS goes before that of the partition": {"partition": "lab", "qos": "free", "gpus": 2},
    "all of a node": {"gpus": 2, "tasks": 2, "cpus": 2, "mem": "16000M"},
    "enough for the QOS": {"qos": "large", "cpus": 2},
}
NEVER: dict[str, tuple[dict[str, Any], str]] = {
    "partition": ({"partition": "shrot"}, "has only main, short, lab. Did you mean short"),
    "account": ({"account": "team-c"}, "You set cluster.account=team-c"),
    "qos": ({"qos": "interactiv"}, "Did you mean interactive?"),
    "time": ({"partition": "short", "time": "2:00:00"}, "time=2:00:00, but partition short allows 1:00:00"),
    "default QOS": ({"partition": "lab", "time": "4-00"}, "QOS narrow gives a job 1:00:00"),
    "GPUs of a node": ({"gpus": 3}, "You set resources.gpus=3 per node, but no node of partition main gives more than"),
    "CPUs of a node": ({"tasks": 5}, "You set resources.cpus=1 for each of 5 processes, but no node"),
    "memory of a node": ({"mem": "16001M"}, "You set resources.mem=16001M, but no node of partition main gives more"),
    "nodes": ({"nodes": 3}, "You set resources.nodes=3, but partition main has 2."),
    "time of a QOS": (
        {"qos": "narrow", "time": "2:00:00"},
        "QOS narrow gives a job 1:00:00. Set less, or another clus",
    ),
    "GPUs of a QOS": ({"qos": "narrow", "gpus": 2}, "You set resources.gpus=2, but QOS narrow gives a job 1 GPU."),
    "nodes of a QOS": ({"qos": "narrow", "nodes": 2}, "You set resources.nodes=2, but QOS narrow gives a job 1 node."),
    "CPUs per node of a QOS": ({"qos": "narrow", "cpus": 3}, "but QOS narrow gives a job on one node 2 CPUs."),
    "GPUs per user": ({"qos": "interactive", "gpus": 2, "nodes": 2}, "QOS interactive gives a user 2 GPUs."),
    "nobody has used it": ({"qos": "fresh", "gpus": 2}, "but QOS fresh gives a user 1 GPU."),
    "too little": ({"qos": "large"}, "but QOS large is for jobs of 2 CPUs or more."),
    "time of an account": (
        {"account": "tight", "qos": "scavenger", "time": "45"},
        "account tight gives a job 0:30:00.",
    ),
    "CPUs of an account": ({"account": "tight", "cpus": 4}, "but account tight gives a job 3 CPUs."),
    "GPUs of an account": ({"account": "tight", "gpus": 2}, "but account tight gives all jobs together 1 GPU."),
    "QOS of a partition": ({"partition": "lab", "qos": "scavenger"}, "partition lab does not take it."),
    "account of a partition": ({"partition": "lab", "account": "team-b"}, "partition lab does not take it."),
    "the partition's QOS": ({"partition": "lab", "gpus": 2}, "You set resources.gpus=2, but QOS narrow gives a job 1"),
}
NEVER_RUNS = (
    "QOS(Max|Min|Grp)|AssocMax|AssocGrp|Partition(Time|Node)Limit|PartitionConfig|Job's (QOS|account) not permitted"
)
"""Reasons to wait that nothing changes while no other job runs."""

CASES = {name: replace(SMALL, **changes) for name, changes in RUNS.items()} | {
    name: replace(SMALL, **changes) for name, (changes, _) in NEVER.items()
}


@pytest.fixture(scope="module")
def known(cluster: Cluster) -> Iterator[Facts]:
    """What is known of a cluster with a policy that has a limit of every kind; nobody has used it yet."""
    user = cluster.says("id", "-un")

    def sacctmgr(lines: str) -> None:
        for line in lines.format(user=user).strip().splitlines():
            cluster.says("sacctmgr", "--immediate", "--quiet", *line.split())

    sacctmgr(POLICY)
    cluster.says("scontrol", "create", *PARTITION)
    with pytest.MonkeyPatch.context() as here:
        cluster.point_here(here)
        until(lambda: "tight" in [account.name for account in cluster_facts().accounts])
        yield cluster_facts()
    cluster.says("scontrol", "delete", "PartitionName=lab")
    sacctmgr(AFTERWARDS)


@pytest.fixture(scope="module")
def said(known: Facts) -> dict[str, list[str]]:
    """What is said of each request, before any of them is submitted."""
    return {name: submission_problems({request: 1}, known) for name, request in CASES.items()}


@pytest.fixture(scope="module")
def happened(cluster: Cluster, said: dict[str, list[str]]) -> dict[str, str]:
    """What Slurm makes of each."""
    found = {name: submitted(cluster, request) for name, request in CASES.items()}

    def decided() -> bool:
        found.update({name: fate(cluster, job) for name, job in found.items() if job.isdigit()})
        return not any(job.isdigit() for job in found.values())

    until(decided)
    cluster.says("scancel", f"--user={os.getuid()}")
    until(lambda: cluster.says("squeue", "--all", "--noheader") == "")
    return found


def fate(cluster: Cluster, job: str) -> str:
    """``runs``, ``never: `` and why, or the number of the job if that is not known yet."""
    told = cluster.says("squeue", "--noheader", "--states=all", "--format=%T|%r", f"--jobs={job}")
    state, reason = told.split("|")
    if state in ("RUNNING", "COMPLETING", "COMPLETED"):
        return "runs"
    return f"never: {reason}" if re.match(NEVER_RUNS, reason) else job


def submitted(cluster: Cluster, request: Request) -> str:
    options = {
        "nodes": request.nodes,
        "ntasks-per-node": request.tasks,
        "cpus-per-task": request.cpus,
        "gpus-per-node": request.gpus or None,
        "mem": request.mem,
        "time": request.time,
        "partition": request.partition,
        "account": request.account,
        "qos": request.qos,
    }
    words = [f"--{key}={value}" for key, value in options.items() if value is not None]
    done = cluster.run("sbatch", "--parsable", "--output=/dev/null", *words, "--wrap=true")
    return done.stdout.strip() or f"never: {done.stderr.strip()}"


@pytest.mark.parametrize("name", RUNS)
def test_what_runs_has_no_problems(name: str, said: dict[str, list[str]], happened: dict[str, str]) -> None:
    assert happened[name] == "runs"
    assert said[name] == []


@pytest.mark.parametrize("name", NEVER)
def test_what_never_runs_has_a_sentence(name: str, said: dict[str, list[str]], happened: dict[str, str]) -> None:
    assert happened[name].startswith("never: ")
    _, sentence = NEVER[name]
    assert any(sentence in problem for problem in said[name]), said[name]


@pytest.mark.usefixtures("happened")
def test_no_more_jobs_than_a_user_may_have_in_the_queue(cluster: Cluster) -> None:
    request = replace(SMALL, qos="interactive")
    assert submission_problems({request: 2}, cluster_facts()) == []
    [problem] = submission_problems({request: 3}, cluster_facts())
    assert "3 jobs are to be submitted, but QOS interactive lets 2 be in the queue, and 0 are there." in problem
    refused = cluster.run("sbatch", "--qos=interactive", "--array=0-2", "--wrap=true")
    assert "violates accounting/QOS policy" in refused.stderr
    job = cluster.submit("true", "--hold", "--qos=interactive")
    [problem] = submission_problems({request: 2}, cluster_facts())
    assert "and 1 are there" in problem
    cluster.says("scancel", job)
    until(lambda: cluster.says("squeue", "--all", "--noheader") == "")


def test_the_machine_is_described(known: Facts) -> None:
    [main] = known.named_partitions(None)
    assert (main.name, [node.gpus for node in main.nodes], main.max_time) == ("main", [2, 2], 3 * 86400.0)
    assert known.max_array_size == 1000
    assert has_gpus(known, "short")
    assert [cpus_per_task(known, None, gpus, tasks) for gpus, tasks in ((1, 1), (2, 2), (2, 1), (0, 1))] == [2, 2, 4, 1]
