"""Why a job waits, on a real Slurm: each kind of limit and obstacle is brought about, and the answer compared."""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from passingloop.pending.answer import Answer
from passingloop.pending.diagnosis import explain
from passingloop.slurm.waiting.evidence import read_cluster, read_evidence
from passingloop.slurm.waiting.queue_table import chosen_jobs
from passingloop.slurm.waiting.trial import job_options, start_estimates
from tests.cluster.cluster import Cluster, Finished, dev_slurm, finished, until
from tests.cluster.login import Login, events

POLICY = """
add qos w-gpu set MaxTRESPerUser=gres/gpu=1
add qos w-jobs set MaxJobsPerUser=1
add qos w-mem set MaxTRESPerUser=mem=1500M
add qos w-grp set GrpTRES=gres/gpu=1
add qos w-cpu set GrpTRES=cpu=1
add qos w-all set GrpJobs=1
add qos w-acct set MaxTRESPerAccount=gres/gpu=1
add qos w-left set GrpTRESRunMins=gres/gpu=15
add qos w-hours set GrpTRESMins=gres/gpu=0
add qos w-job set MaxTRESPerJob=gres/gpu=1
add qos w-node set MaxTRESPerNode=gres/gpu=1
add qos w-wall set MaxWall=5
add qos w-min set MinTRESPerJob=gres/gpu=2
add account a-gpu set Parent=research GrpTRES=gres/gpu=1
add account a-jobs set Parent=research
add account a-small set Parent=research
add user {user} set Account=a-gpu,a-jobs,a-small QOS=production,scavenger
modify user {user} where Account=a-jobs set MaxJobs=1
modify user {user} where Account=a-small set MaxTRES=gres/gpu=1 MaxWall=5
modify user {user} where Account=team-a set QOS+=w-gpu,w-jobs,w-mem,w-grp,w-cpu,w-all,w-acct,w-left,w-hours,w-job
modify user {user} where Account=team-a set QOS+=w-node,w-wall,w-min
"""
PARTITIONS = """
Licenses=matlab:4
PartitionName=closed Nodes=n4 State=DOWN
PartitionName=fourth Nodes=n4 DefaultTime=10
PartitionName=fifth Nodes=n5 DefaultTime=10
PartitionName=sixth Nodes=n6 DefaultTime=10
PartitionName=spare Nodes=n7 DefaultTime=10
PartitionName=single Nodes=n[4-5] MaxNodes=1
"""
GPU = "--gpus-per-node=1"


@dataclass(frozen=True)
class Case:
    options: str
    """Of the job that waits."""
    reason: str
    """Slurm's, from its beginning."""
    says: str
    holder: str | None = None
    """The options of the job that holds what it waits for, submitted before it; None where there is none."""
    limit: tuple[str, float] | None = None


CASES = {
    "GPUs of a user": Case(
        f"--qos=w-gpu {GPU}",
        "QOSMaxGRESPerUser",
        "1 of the 1 GPU that QOS w-gpu gives a user; this job asks for 1 GPU",
        f"--qos=w-gpu {GPU}",
        ("gres/gpu", 1),
    ),
    "jobs of a user": Case(
        "--qos=w-jobs",
        "QOSMaxJobsPerUserLimit",
        "1 of the 1 running job that QOS w-jobs gives a user",
        "--qos=w-jobs",
        ("running jobs", 1),
    ),
    "memory of a user": Case(
        "--qos=w-mem",
        "QOSMaxMemoryPerUser",
        "of memory that QOS w-mem gives a user",
        "--qos=w-mem",
        ("mem", 1500),
    ),
    "GPUs of a QOS": Case(
        f"--qos=w-grp {GPU}",
        "QOSGrpGRES",
        "1 of its 1 GPU",
        f"--qos=w-grp {GPU}",
        ("gres/gpu", 1),
    ),
    "CPUs of a QOS": Case("--qos=w-cpu", "QOSGrpCpuLimit", "1 of its 1 CPU", "--qos=w-cpu", ("cpu", 1)),
    "jobs of a QOS": Case(
        "--qos=w-all",
        "QOSGrpJobsLimit",
        "1 of its 1 running job",
        "--qos=w-all",
        ("running jobs", 1),
    ),
    "GPUs of an account in a QOS": Case(
        f"--qos=w-acct {GPU}",
        "MaxGRESPerAccount",
        "Account team-a has 1 of the 1 GPU that QOS w-acct gives an account",
        f"--qos=w-acct {GPU}",
        ("gres/gpu", 1),
    ),
    "minutes left to run": Case(
        f"--qos=w-left {GPU} --time=10",
        "QOSGrpGRESRunMinutes",
        "of its 0.25 GPU-hours left to run",
        f"--qos=w-left {GPU} --time=10",
        ("gres/gpu", 15),
    ),
    "GPU-hours": Case(
        f"--qos=w-hours {GPU} --time=10 --partition=fifth",
        "QOSGrpGRESMinutes",
        "All jobs of QOS w-hours together have used 0 of its 0 GPU-hours; this job may need 0.17 GPU-hours",
        limit=("gres/gpu", 0),
    ),
    "GPUs of a job": Case(
        "--qos=w-job --gpus-per-node=2",
        "QOSMaxGRESPerJob",
        "It asks for 2 GPUs, and QOS w-job gives a job 1 GPU",
        limit=("gres/gpu", 1),
    ),
    "GPUs of a job on a node": Case(
        "--qos=w-node --gpus-per-node=2",
        "QOSMaxGRESPerNode",
        "It asks for 2 GPUs on one node, and QOS w-node gives a job 1 GPU",
        limit=("gres/gpu", 1),
    ),
    "time of a QOS": Case(
        "--qos=w-wall --time=10",
        "QOSMaxWallDurationPerJobLimit",
        "It asks for 0:10:00, and QOS w-wall gives a job 0:05:00",
        limit=("wall", 5),
    ),
    "too little": Case(
        f"--qos=w-min {GPU}",
        "QOSMinGRES",
        "It asks for 1 GPU, and QOS w-min is for jobs of 2 GPUs or more",
        limit=("gres/gpu", 2),
    ),
    "GPUs of an account": Case(
        f"--account=a-gpu {GPU}",
        "AssocGrpGRES",
        "1 of its 1 GPU",
        f"--account=a-gpu {GPU}",
        ("gres/gpu", 1),
    ),
    "jobs in an account": Case(
        "--account=a-jobs",
        "AssocMaxJobsLimit",
        "1 of the 1 running job that account a-jobs",
        "--account=a-jobs",
        ("running jobs", 1),
    ),
    "GPUs of a job in an account": Case(
        "--account=a-small --gpus-per-node=2",
        "AssocMaxGRESPerJob",
        "It asks for 2 GPUs, and account a-small",
        limit=("gres/gpu", 1),
    ),
    "time in an account": Case(
        "--account=a-small --qos=scavenger --time=10",
        "AssocMaxWallDurationPerJobLimit",
        "It asks for 0:10:00, and account a-small",
        limit=("wall", 5),
    ),
    "another job": Case("--dependency=afterok:{holder}", "Dependency", "has succeeded: it runs, until", "--time=20"),
    "a job that failed": Case(
        "--dependency=afterok:{cancelled}", "DependencyNeverSatisfied", "that cannot happen any more"
    ),
    "a time": Case("--begin=now+1hour", "BeginTime", "It is not to start before"),
    "held": Case("--hold", "JobHeldUser", "It is held by its owner"),
    "a reservation": Case("--reservation=course", "Reservation", "Its reservation course begins at"),
    "a licence": Case(
        "--licenses=matlab:2 --partition=fifth",
        "Licenses",
        "3 of 4 licences matlab are in use; this job asks for 2",
        "--licenses=matlab:3 --partition=fifth",
    ),
    "a node": Case("--partition=main --nodelist=n3", "ReqNodeNotAvail", "Node n3 is IDLE+DRAIN: bad disk"),
    "maintenance": Case(
        "--partition=fourth --time=3:00:00",
        "ReqNodeNotAvail, Reserved for maintenance",
        "Reservation maint keeps 1 node from",
    ),
    "a node in maintenance": Case(
        "--partition=main --nodelist=n4 --time=3:00:00", "ReqNodeNotAvail", "Reservation maint keeps 1 node from"
    ),
    "a closed partition": Case("--partition=closed --time=10", "PartitionDown", "Partition closed is DOWN."),
    "time of a partition": Case(
        "--time=2:00:00", "PartitionTimeLimit", "It asks for 2:00:00, and partition short allows 1:00:00"
    ),
    "nodes of a partition": Case(
        "--nodes=2 --partition=single", "PartitionNodeLimit", "It asks for 2 nodes, and partition single gives a job 1."
    ),
    "an array": Case("--array=0-3%1", "JobArrayTaskLimit", "1 task of the 1 that may run at the same time"),
    "GPUs of the nodes": Case(
        "--gpus-per-node=4 --partition=sixth",
        "Resources",
        "It asks for 4 GPUs on one node; of 4 GPUs in partition sixth, 1 is free.",
        "--gpus-per-node=3 --partition=sixth",
    ),
    "higher priority": Case(
        "--gpus-per-node=4 --nice=500 --partition=sixth",
        "Priority",
        "job of higher priority is before it, all of the same user",
    ),
}
"""All jobs are in partition short (n1 and n2, each with 4 GPUs) unless they say otherwise."""


@pytest.fixture(scope="module")
def lab(packages: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A cluster of its own, with licences, and limits of every kind; others than root may read its folder."""
    folder = Path(tempfile.mkdtemp(prefix="why-"))
    folder.chmod(0o755)
    up = dev_slurm("up", folder / "slurm", "--nodes", "7", "--gpus", "4", "--cpus", "16")
    assert up.returncode == 0, up.stderr
    cluster = Cluster.in_folder(folder / "slurm", tmp_path_factory.mktemp("jobs"))
    with Path(cluster.env["SLURM_CONF"]).open("a") as conf:
        conf.write(PARTITIONS)
    cluster.says("scontrol", "reconfigure")
    user = cluster.says("id", "-un")
    for line in POLICY.format(user=user).strip().splitlines():
        cluster.says("sacctmgr", "--immediate", "--quiet", *line.split())
    cluster.says("scontrol", "update", "NodeName=n3", "State=DRAIN", "Reason=bad disk")
    reservation = ("scontrol", "create", "reservation", "Duration=60", f"Users={user}")
    cluster.says(*reservation, "ReservationName=maint", "StartTime=now+2hours", "Nodes=n4", "Flags=MAINT")
    cluster.says(*reservation, "ReservationName=course", "StartTime=now+5hours", "Nodes=n1")
    until(lambda: "a-small" in cluster.says("scontrol", "show", "assoc_mgr", "flags=assoc"))
    yield cluster
    down = dev_slurm("down", folder / "slurm")
    shutil.rmtree(folder)
    assert down.returncode == 0, down.stderr


def submit(cluster: Cluster, options: str, script: str = "sleep 1000") -> str:
    usual = ["--partition=short", "--output=/dev/null", "--mem-per-cpu=1000"]
    return cluster.says("sbatch", "--parsable", *usual, *options.split(), f"--wrap={script}")


@pytest.fixture(scope="module")
def jobs(lab: Cluster) -> dict[str, tuple[str, str | None]]:
    """The job that waits in each case, and the one that holds what it waits for."""
    cancelled = submit(lab, "--hold")
    lab.says("scancel", cancelled)
    holders = {name: submit(lab, case.holder) for name, case in CASES.items() if case.holder}
    until(lambda: all(lab.state(job) == "RUNNING" for job in holders.values()))
    found: dict[str, tuple[str, str | None]] = {}
    for name, case in CASES.items():
        holder = holders.get(name)
        found[name] = submit(lab, case.options.format(holder=holder, cancelled=cancelled)), holder

    def reasons() -> dict[str, str]:
        lines = lab.says("squeue", "--all", "--noheader", "--states=PENDING", "--format=%F|%r").splitlines()
        return dict(line.split("|", 1) for line in lines)

    def settled() -> bool:
        shown = reasons()
        return all(shown.get(job, "").startswith(CASES[name].reason) for name, (job, _) in found.items())

    deadline = time.monotonic() + 60
    while not settled() and time.monotonic() < deadline:
        time.sleep(0.5)
    shown = reasons()
    wrong = {
        name: shown.get(job)
        for name, (job, _) in found.items()
        if not shown.get(job, "").startswith(CASES[name].reason)
    }
    assert wrong == {}
    return found


@pytest.fixture
def pointed(lab: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    lab.point_here(monkeypatch)


@pytest.fixture(scope="module")
def answers(lab: Cluster, jobs: dict[str, tuple[str, str | None]]) -> dict[str, Answer]:
    with pytest.MonkeyPatch.context() as here:
        lab.point_here(here)
        cluster = read_cluster(not_before=time.time())
        now = time.time()
        return {
            name: explain(read_evidence(cluster, chosen_jobs(cluster.jobs, job)[0], now))
            for name, (job, _) in jobs.items()
        }


@pytest.mark.parametrize("name", CASES)
def test_the_answer_is_what_was_brought_about(
    name: str, jobs: dict[str, tuple[str, str | None]], answers: dict[str, Answer]
) -> None:
    case, answer, (_, holder) = CASES[name], answers[name], jobs[name]
    assert case.says in " ".join([answer.summary, *answer.facts])
    assert answer.unknown == ()
    limit = answer.limit
    assert (limit and (limit.ceiling.what, limit.ceiling.limit, limit.exceeded)) == (case.limit and (*case.limit, True))
    if holder and case.limit:
        assert [held.job_id for held in answer.holders] == [holder]
        assert answer.hidden == 0
        assert answer.release
        assert answer.release.what.startswith(f"job {holder} ")
    elif holder and answer.holders:
        assert holder in [held.job_id for held in answer.holders]


def why(lab: Cluster, *words: str) -> Finished:
    return finished([sys.executable, "-m", "passingloop.cli.main", "why", *words], lab.env, lab.work)


def test_the_command_answers_for_a_job_of_anyone(lab: Cluster, jobs: dict[str, tuple[str, str | None]]) -> None:
    (job, holder), (array, _) = jobs["GPUs of a user"], jobs["an array"]
    done = why(lab, job, f"{array}_2")
    assert done.returncode == 0, done.stderr
    first, second = done.stdout.split("\n\n")
    assert f"job {job} of " in first.splitlines()[0]
    assert f": 1 GPU in job {holder}, until" in first
    assert f"job {array}_[1-3" in second.splitlines()[0]
    assert "1 task of the 1 that may run" in second
    [row] = json.loads(why(lab, "--json", job).stdout)
    assert (row["category"], row["reason"], row["limit"]["limit"]) == ("limit", "QOSMaxGRESPerUser", 1.0)
    assert [held["job_id"] for held in row["holders"]] == [holder]
    running = json.loads(why(lab, "--json", str(holder)).stdout)[0]
    assert (running["category"], running["state"]) == ("running", "RUNNING")


def test_a_job_that_there_is_not(lab: Cluster) -> None:
    done = why(lab, "987654")
    assert (done.returncode, done.stdout) == (2, "")
    assert "The queue shows no job 987654, and no run has had it." in done.stderr


def test_what_would_start_it_sooner_does(lab: Cluster, jobs: dict[str, tuple[str, str | None]]) -> None:
    """Each change is checked with sbatch; the first of them, carried out, starts at once."""
    [row] = json.loads(why(lab, "--json", jobs["GPUs of the nodes"][0]).stdout)
    sooner = [option for option in row["options"] if option["sooner"]]
    assert "cluster.partition=spare" in [option["setting"] for option in sooner], row["options"]
    assert all(option["start"] or option["refusal"] for option in row["options"])
    assert {option["setting"] for option in row["options"]} >= {
        "resources.gpus=2",
        "resources.gpus=1",
        "cluster.qos=scavenger",
    }
    assert sooner[0]["start"] < row["expected_start"]
    words = [f"--{name}={value}" for name, value in sooner[0]["sbatch"].items()]
    job = submit(lab, " ".join(["--gpus-per-node=4", "--time=10", *words]))
    until(lambda: lab.state(job) == "RUNNING")
    lab.says("scancel", job)


@pytest.mark.usefixtures("pointed")
def test_a_job_is_asked_for_again_as_it_was(lab: Cluster) -> None:
    """From what Slurm shows of a job, the options of sbatch that ask for the same."""
    options = "--nodes=2 --ntasks=4 --cpus-per-task=2 --gpus-per-node=2 --time=30 --qos=scavenger --partition=main"
    job = submit(lab, f"{options} --hold --licenses=matlab:1 --exclude=n3")
    cluster = read_cluster(job, not_before=time.time())
    evidence = read_evidence(cluster, chosen_jobs(cluster.jobs, job)[0], time.time())
    again = job_options(evidence.fields)
    assert again
    assert (again["gres"], again["ntasks"], again["cpus-per-task"]) == ("gpu:2", "4", "2")
    [estimate, refused] = start_estimates([again, {**again, "qos": "w-gpu", "account": "a-gpu"}])
    assert estimate.start
    assert refused.refusal == "Invalid qos specification"
    second = lab.says(
        "sbatch", "--parsable", "--hold", *(f"--{key}={value}" for key, value in again.items()), "--wrap=true"
    )
    shown = read_evidence(cluster, replace(evidence.job, number=second, job_id=second), time.time()).fields
    tres = "TRES" if "TRES" in shown else "ReqTRES"  # 22.05, 26.05
    same = ("NumNodes", "NumTasks", "CPUs/Task", tres, "TimeLimit", "QOS", "Account", "Partition", "Licenses")
    assert {name: shown[name] for name in same} == {name: evidence.fields[name] for name in same}
    lab.says("scancel", job, second)


AS_ANOTHER = ("setpriv", "--reuid=daemon", "--regid=daemon", "--clear-groups")
"""A user of every machine; not nobody, whom Slurm 26.05 gives no jobs."""

SHIM = '#!/bin/sh\nexec {setpriv} {command} "$@"\n'


@pytest.mark.skipif(os.getuid() != 0, reason="only root may run commands as another user")
def test_what_a_site_hides_is_said_to_be_hidden(
    lab: Cluster, jobs: dict[str, tuple[str, str | None]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With PrivateData=jobs the user daemon does not see who holds the GPU of the account, but that somebody does."""
    lab.says("sacctmgr", "--immediate", "--quiet", "add", "user", "daemon", "Account=a-gpu", "QOS=production")
    until(lambda: "UserName=daemon(" in lab.says("scontrol", "show", "assoc_mgr", "flags=assoc"))
    job = lab.says(
        *AS_ANOTHER, "sbatch", "--parsable", "--partition=short", "--output=/dev/null", GPU, "--wrap=true", "--chdir=/"
    )
    conf = Path(lab.env["SLURM_CONF"])
    conf.write_text(f"{conf.read_text()}PrivateData=jobs\n")
    lab.says("scontrol", "reconfigure")
    for name in ("squeue", "scontrol", "sprio"):
        shim = tmp_path / name
        shim.write_text(SHIM.format(setpriv=" ".join(AS_ANOTHER), command=shutil.which(name, path=lab.env["PATH"])))
        shim.chmod(0o755)
    lab.point_here(monkeypatch)
    until(lambda: "AssocGrpGRES" in lab.says("squeue", "--noheader", "--format=%r", f"--jobs={job}"))
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    cluster = read_cluster(job, not_before=time.time())
    assert "jobs" in cluster.private
    assert {shown.user for shown in cluster.jobs} == {"daemon"}
    answer = explain(read_evidence(cluster, chosen_jobs(cluster.jobs, job)[0], time.time()))
    assert "1 of its 1 GPU" in answer.summary
    assert (answer.holders, answer.hidden, answer.release) == ((), 1.0, None)
    assert chosen_jobs(cluster.jobs, jobs["held"][0]) == []


def test_a_sweep_that_waits_has_one_answer_with_settings(login: Login) -> None:
    """The tasks of its array wait for the same; changes are settings of passingloop."""
    login.cluster.says("scontrol", "update", "PartitionName=main", "State=DOWN")
    try:
        runs = login.submit("-m", "name=grid", "optim.lr=1e-4,2e-4,3e-4", "cluster.prepare_ahead=never")
        done = login.verb("why", "grid")
    finally:
        login.cluster.says("scontrol", "update", "PartitionName=main", "State=UP")
    assert done.returncode == 0, done.stderr
    title, *lines = done.stdout.splitlines()
    assert title.startswith(f"grid/{runs[0].path.name} and 2 more runs, job ")
    assert "Partition main is DOWN." in done.stdout
    assert any("cluster.partition=short" in line for line in lines), done.stdout


@pytest.mark.slow
def test_a_run_whose_data_job_waits_says_that(login: Login, tmp_path: Path) -> None:
    fresh = login.but(PASSINGLOOP_CACHE=str(tmp_path / "cache"))
    fresh.cluster.says("scontrol", "update", "PartitionName=main", "State=DOWN")
    try:
        fresh.submit("name=ahead", "cluster.prepare_ahead=always")
        done = fresh.verb("why", "ahead")
    finally:
        fresh.cluster.says("scontrol", "update", "PartitionName=main", "State=UP")
    assert "The run waits for job" in done.stdout, done.stderr
    assert "which prepares its data. The partition takes jobs but starts none" in done.stdout
    assert "Partition main is DOWN." in done.stdout


@pytest.mark.slow
def test_a_run_that_trains_does_not_wait(login: Login) -> None:
    [run] = login.submit("name=trains", "trainer.steps=100000", "trainer.epochs=null")
    until(lambda: bool(events(run, "start")))
    until(lambda: "It does not wait: attempt 1 is running." in login.verb("why", "trains").stdout)
