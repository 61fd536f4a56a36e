"""Why a job waits, from evidence: a table of Slurm's reasons with what is to be said of each."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from passingloop.pending.answer import Category
from passingloop.slurm.reasons import REASONS
from passingloop.slurm.waiting.ceilings import QUEUED, RUNNING, WALL
from passingloop.slurm.waiting.supply import License, Reservation
from tests.pending.situation import ANN, BOB, EVE, HOUR, MAIN, N1, N2, NOW, OTHERS, answer, cap, running, waiting

TEAM = cap("account", "team-a", "all", "gres/gpu", 8, 8)
WEEK = 7 * 24 * HOUR

SOON = Reservation(
    name="maint", start=NOW + HOUR, end=NOW + 3 * HOUR, nodes=("n1", "n2"), flags=("MAINT",), users="root"
)
OWN = Reservation(name="course", start=NOW + HOUR, end=NOW + 3 * HOUR, nodes=("n1",), accounts="team-a")
DOWN = replace(N2, state="DOWN+DRAIN", reason="bad disk [root@2026-11-29T08:00:00]")


@dataclass(frozen=True)
class Case:
    reason: str
    category: Category
    says: str
    """Words of the summary or of a fact."""
    given: dict[str, Any] = field(default_factory=dict)
    limit: tuple[str, float, float] | None = None
    """What it is on, how much, and how much of it is used."""
    holders: tuple[str, ...] = ()
    frees: str = ""
    """Words on what frees it first."""
    enough: float | None = None
    """Hours until enough is free."""
    never: bool = False


def limited(reason: str, says: str, *caps: Any, holders: str = "", frees: str = "", **rest: Any) -> Case:
    """A case in which the first of `caps` is the limit."""
    first = caps[0]
    enough = rest.pop("enough", None)
    category = rest.pop("category", "limit")
    return Case(
        reason,
        category,
        says,
        {"caps": caps, **rest},
        (first.what, first.limit, first.used),
        tuple(holders.split()),
        frees,
        enough,
        never=category == "request",
    )


def too_much(reason: str, says: str, *caps: Any, **rest: Any) -> Case:
    """A case in which the request alone is over the limit."""
    return limited(reason, says, *caps, category="request", **rest)


MINUTES = "minutes"
LEFT = "running minutes"

CASES = [
    # QOS, all of its jobs together
    limited(
        "QOSGrpGRES",
        "All jobs of QOS production together have 8 of its 10 GPUs; this job asks for 4 GPUs.",
        cap("qos", "production", "all", "gres/gpu", 10, 8),
        holders="12 11",
        frees="job 12 (bob, 4 GPUs) ends",
        enough=0.5,
    ),
    limited(
        "QOSGrpCpuLimit",
        "16 of its 20 CPUs; this job asks for 8 CPUs",
        cap("qos", "production", "all", "cpu", 20, 16),
        holders="12 11",
        frees="job 12 (bob, 8 CPUs)",
        enough=0.5,
    ),
    limited(
        "QOSGrpMemLimit",
        "64 GB of memory of its 70 GB of memory",
        cap("qos", "production", "all", "mem", 70 * 1024, 64 * 1024),
        holders="12 11",
        frees="32 GB of memory",
        enough=0.5,
    ),
    limited(
        "QOSGrpNodeLimit",
        "2 of its 2 nodes; this job asks for 1 node",
        cap("qos", "production", "all", "node", 2, 2),
        holders="12 11",
        frees="job 12",
        enough=0.5,
    ),
    limited(
        "QOSGrpBilling",
        "16 of its 20 billing units",
        cap("qos", "production", "all", "billing", 20, 16),
        holders="12 11",
        frees="job 12",
        enough=0.5,
    ),
    limited(
        "QOSGrpJobsLimit",
        "2 of its 2 running jobs",
        cap("qos", "production", "all", RUNNING, 2, 2),
        holders="12 11",
        frees="job 12 (bob) ends",
        enough=0.5,
    ),
    limited(
        "QOSGrpSubmitJobsLimit",
        "5 of its 4 jobs in the queue",
        cap("qos", "production", "all", QUEUED, 4, 5),
        holders="12 11 100 101 90",
        frees="job 12 (bob) ends",
        enough=0.5,
    ),
    limited(
        "QOSGrpGRESMinutes",
        "have used 100 of its 104 GPU-hours; this job may need 8 GPU-hours.",
        cap("qos", "production", "all", "gres/gpu", 104 * 60, 100 * 60, MINUTES),
        cluster={"safe": True},
        frees="use counts for half after 7 days",
        enough=WEEK * 0.0588937 / HOUR,
    ),
    limited(
        "QOSGrpCPUMinutesLimit",
        "10 of its 10 CPU-hours",
        cap("qos", "production", "all", "cpu", 600, 600, MINUTES),
        cluster={"safe": True},
        frees="nothing by itself: it asks for more than the whole budget",
    ),
    limited(
        "QOSGrpCPUMinutesLimit",
        "used 15 of its 10 CPU-hours",
        cap("qos", "production", "all", "cpu", 600, 900, MINUTES),
        frees="use counts for half after 7 days: enough is left at",
        enough=WEEK * 0.5849625 / HOUR,
    ),
    limited(
        "QOSGrpWallLimit",
        "All jobs of QOS production together have used 10:00:00 of its 10:00:00",
        cap("qos", "production", "all", WALL, 600, 600, MINUTES),
        cluster={"half_life": None},
        frees="use is never forgotten here",
    ),
    limited(
        "QOSGrpGRESRunMinutes",
        "All jobs of QOS production together have 6 of its 10 GPU-hours left to run; this job would add 8",
        cap("qos", "production", "all", "gres/gpu", 600, 360, LEFT),
        holders="12 11",
        frees="job 12 (bob, 2 GPU-hours)",
    ),
    limited(
        "QOSGrpCPURunMinutesLimit",
        "12 of its 20 CPU-hours left to run",
        cap("qos", "production", "all", "cpu", 1200, 720, LEFT),
        holders="12 11",
        frees="job 12 (bob, 4 CPU-hours)",
    ),
    # QOS, each user
    limited(
        "QOSMaxGRESPerUser",
        "You have 4 of the 6 GPUs that QOS production gives a user; this job asks for 4 GPUs.",
        cap("qos", "production", "user", "gres/gpu", 6, 4),
        holders="11",
        frees="job 11 (ann, 4 GPUs)",
        enough=1.0,
    ),
    limited(
        "QOSMaxCpuPerUserLimit",
        "You have 8 of the 10 CPUs that QOS production gives a user",
        cap("qos", "production", "user", "cpu", 10, 8),
        holders="11",
        frees="job 11",
        enough=1.0,
    ),
    limited(
        "QOSMaxMemoryPerUser",
        "You have 32 GB of memory of the 40 GB of memory that QOS production gives a user",
        cap("qos", "production", "user", "mem", 40 * 1024, 32 * 1024),
        holders="11",
        frees="job 11",
        enough=1.0,
    ),
    limited(
        "QOSMaxNodePerUserLimit",
        "You have 1 of the 1 node that QOS production gives a user",
        cap("qos", "production", "user", "node", 1, 1),
        holders="11",
        frees="job 11",
        enough=1.0,
    ),
    limited(
        "QOSMaxJobsPerUserLimit",
        "You have 1 of the 1 running job that QOS production gives a user",
        cap("qos", "production", "user", RUNNING, 1, 1),
        holders="11",
        frees="job 11 (ann) ends",
        enough=1.0,
    ),
    limited(
        "QOSMaxSubmitJobPerUserLimit",
        "You have 2 of the 1 job in the queue that QOS production gives a user",
        cap("qos", "production", "user", QUEUED, 1, 2),
        holders="11 100",
        frees="job 11",
        enough=1.0,
    ),
    limited(
        "QOSMaxLicensePerUser",
        "You have 2 of the 3 matlab licences that QOS production gives a user; this job asks for 2",
        cap("qos", "production", "user", "license/matlab", 3, 2),
        holders="11",
        frees="job 11",
        enough=1.0,
        licenses="matlab:2",
        others=(replace(ANN, licenses="matlab:2"), BOB),
    ),
    limited(
        "MaxGRESRunMinsPerUser",
        "You have 4 of the 5 GPU-hours left to run that QOS production gives a user; this job would add 8 GPU-hours",
        cap("qos", "production", "user", "gres/gpu", 300, 240, LEFT),
        holders="11",
        frees="job 11 (ann, 4 GPU-hours)",
    ),
    # QOS, each account
    limited(
        "MaxGRESPerAccount",
        "Account team-a has 8 of the 8 GPUs that QOS production gives an account",
        cap("qos", "production/team-a", "account", "gres/gpu", 8, 8),
        cap("qos", "production/team-b", "account", "gres/gpu", 8, 8),
        holders="12 11",
        frees="job 12",
        enough=0.5,
    ),
    limited(
        "MaxJobsPerAccount",
        "Account team-a has 2 of the 2 running jobs that QOS production gives an account",
        cap("qos", "production/team-a", "account", RUNNING, 2, 2),
        holders="12 11",
        frees="job 12",
        enough=0.5,
    ),
    limited(
        "MaxSubmitJobsPerAccount",
        "Account team-a has 4 of the 3 jobs in the queue",
        cap("qos", "production/team-a", "account", QUEUED, 3, 4),
        holders="12 11 100 90",
        frees="job 12",
        enough=0.5,
    ),
    limited(
        "MaxCpuPerAccount",
        "16 of the 16 CPUs",
        cap("qos", "production/team-a", "account", "cpu", 16, 16),
        holders="12 11",
        frees="job 12",
        enough=0.5,
    ),
    # the partition's own QOS
    limited(
        "QOSGrpGRES",
        "All jobs of QOS small together have 16 of its 16 GPUs",
        cap("qos", "small", "all", "gres/gpu", 16, 16),
        holders="12 11 13",
        frees="job 12",
        enough=0.5,
        cluster={"partitions": {"main": replace(MAIN, own_qos="small")}},
    ),
    # accounts
    limited("AssocGrpGRES", "8 of its 8 GPUs", TEAM, holders="12 11", frees="12", enough=0.5),
    limited(
        "AssocGrpGRES",
        "16 of its 18 GPUs",
        cap("account", "research", "all", "gres/gpu", 18, 16),
        cap("account", "team-a", "all", "gres/gpu", 100, 8),
        holders="12 11 13",
        frees="job 12",
        enough=0.5,
    ),
    limited(
        "AssocGrpGRES",
        "You have 4 of the 4 GPUs that account team-a (user ann) gives",
        cap("association", "ann in team-a", "all", "gres/gpu", 4, 4),
        holders="11",
        frees="job 11",
        enough=1.0,
    ),
    limited(
        "AssocGrpCpuLimit",
        "16 of its 16 CPUs",
        cap("account", "team-a", "all", "cpu", 16, 16),
        holders="12 11",
        frees="job 12",
        enough=0.5,
    ),
    limited(
        "AssocGrpJobsLimit",
        "2 of its 2 running jobs",
        cap("account", "team-a", "all", RUNNING, 2, 2),
        holders="12 11",
        frees="job 12",
        enough=0.5,
    ),
    limited(
        "AssocGrpMemLimit",
        "64 GB of memory of its 64 GB of memory",
        cap("account", "team-a", "all", "mem", 64 * 1024, 64 * 1024),
        holders="12 11",
        frees="job 12",
        enough=0.5,
    ),
    limited(
        "AssocGrpNodeLimit",
        "2 of its 2 nodes",
        cap("account", "team-a", "all", "node", 2, 2),
        holders="12 11",
        frees="job 12",
        enough=0.5,
    ),
    limited(
        "AssocGrpBilling",
        "16 of its 16 billing units",
        cap("account", "team-a", "all", "billing", 16, 16),
        holders="12 11",
        frees="job 12",
        enough=0.5,
    ),
    limited(
        "AssocGrpGRESMinutes",
        "used 50 of its 50 GPU-hours",
        cap("account", "team-a", "all", "gres/gpu", 3000, 3000, MINUTES),
        cluster={"reset": "MONTHLY"},
        frees="the budget is given anew monthly, next on",
        enough=-1,
    ),
    limited(
        "AssocGrpCPURunMinutesLimit",
        "12 of its 12 CPU-hours left to run",
        cap("account", "team-a", "all", "cpu", 720, 720, LEFT),
        holders="12 11",
        frees="job 12",
    ),
    limited(
        "AssocMaxJobsLimit",
        "You have 1 of the 1 running job",
        cap("association", "ann in team-a", "user", RUNNING, 1, 1),
        holders="11",
        frees="job 11",
        enough=1.0,
    ),
    limited(
        "AssociationJobLimit",
        "1 of the 1 running job",
        cap("association", "ann in team-a", "user", RUNNING, 1, 1),
        holders="11",
        frees="job 11",
        enough=1.0,
    ),
    limited("AssociationResourceLimit", "8 of its 8 GPUs", TEAM, holders="12 11", frees="12", enough=0.5),
    limited(
        "QOSResourceLimit",
        "8 of its 10 GPUs",
        cap("qos", "production", "all", "gres/gpu", 10, 8),
        holders="12 11",
        frees="job 12",
        enough=0.5,
    ),
    # one job
    too_much(
        "QOSMaxGRESPerJob",
        "It asks for 4 GPUs, and QOS production gives a job 2 GPUs, so it never starts.",
        cap("qos", "production", "job", "gres/gpu", 2),
    ),
    too_much(
        "QOSMaxGRESPerNode",
        "It asks for 4 GPUs on one node, and QOS production gives a job 2 GPUs",
        cap("qos", "production", "node", "gres/gpu", 2),
    ),
    too_much(
        "QOSMaxCpuPerJobLimit",
        "asks for 8 CPUs, and QOS production gives a job 4 CPUs",
        cap("qos", "production", "job", "cpu", 4),
    ),
    too_much(
        "QOSMaxWallDurationPerJobLimit",
        "It asks for 2:00:00, and QOS production gives a job 1:00:00",
        cap("qos", "production", "job", WALL, 60),
    ),
    too_much(
        "QOSMaxWallDurationPerJobLimit",
        "It asks for no time limit, and QOS production gives a job 1:00:00",
        cap("qos", "production", "job", WALL, 60),
        limit=None,
    ),
    too_much(
        "QOSMaxGRESMinutesPerJob",
        "It asks for 8 GPU-hours, and QOS production gives a job 1 GPU-hours",
        cap("qos", "production", "job", "gres/gpu", 60, 0, MINUTES),
    ),
    too_much(
        "QOSMinGRES",
        "It asks for 4 GPUs, and QOS production is for jobs of 8 GPUs or more",
        cap("qos", "production", "least", "gres/gpu", 8),
    ),
    too_much(
        "QOSMinCpuNotSatisfied",
        "It asks for 8 CPUs, and QOS production is for jobs of 16 CPUs or more",
        cap("qos", "production", "least", "cpu", 16),
    ),
    too_much(
        "AssocMaxGRESPerJob",
        "It asks for 4 GPUs, and account team-a (user ann) gives a job 2 GPUs",
        cap("association", "ann in team-a", "job", "gres/gpu", 2),
    ),
    too_much(
        "AssocMaxWallDurationPerJobLimit",
        "It asks for 2:00:00, and account team-a (user ann) gives a job 0:30:00",
        cap("association", "ann in team-a", "job", WALL, 30),
    ),
    too_much(
        "AssocMaxNodePerJobLimit",
        "It asks for 1 node, and account team-a (user ann) gives a job 0 nodes",
        cap("association", "ann in team-a", "job", "node", 0),
    ),
    # the nodes
    Case(
        "Resources",
        "resources",
        "It asks for 4 GPUs on one node; of 16 GPUs in partition main, 0 are free.",
        holders=("12", "11", "13"),
        frees="job 12 (bob, 4 GPUs) ends",
        enough=0.5,
    ),
    Case(
        "Resources",
        "resources",
        "of 16 GPUs in partition main, 4 are free, but no node has more than 2.",
        {"cluster": {"nodes": (replace(N1, gpus_held=6), replace(N2, gpus_held=6))}},
        holders=("12", "11", "13"),
        frees="job 12",
        enough=0.5,
    ),
    Case(
        "Resources",
        "resources",
        "but where they are there are only 2 CPUs free, and it asks for 8 CPUs.",
        {"cluster": {"nodes": (replace(N1, gpus_held=4, cpus_held=30), N2)}},
        holders=("12", "11", "13"),
        frees="job 12",
        enough=0.5,
    ),
    Case(
        "Resources",
        "resources",
        "Node n2 is DOWN+DRAIN: bad disk",
        {"cluster": {"nodes": (N1, DOWN)}},
        holders=("12", "11"),
        frees="12",
        enough=0.5,
    ),
    Case(
        "Priority",
        "priority",
        "is before it, and asks for 4 GPUs. What they have more of is QOS: 700 (median) against 200.",
        holders=("12", "11", "13"),
        frees="job 12",
    ),
    Case(
        "ReqNodeNotAvail, UnavailableNodes:n2",
        "nodes",
        "Node n2 is DOWN+DRAIN: bad disk",
        {"cluster": {"nodes": (N1, DOWN)}},
    ),
    Case(
        "ReqNodeNotAvail, Reserved for maintenance",
        "nodes",
        "Reservation maint keeps 2 nodes from",
        {"cluster": {"reservations": (SOON,)}},
        frees="reservation maint ends at",
    ),
    Case(
        "Nodes required for job are DOWN, DRAINED or reserved for jobs in higher priority partitions",
        "nodes",
        "Node n2 is DOWN+DRAIN",
        {"cluster": {"nodes": (N1, DOWN)}},
    ),
    Case("PartitionDown", "nodes", "Partition main is DOWN.", {"cluster": {"partition_states": {"main": "DOWN"}}}),
    Case(
        "PartitionInactive",
        "nodes",
        "Partition main is INACTIVE.",
        {"cluster": {"partition_states": {"main": "INACTIVE"}}},
    ),
    # what the partition does not give
    Case(
        "PartitionTimeLimit",
        "request",
        "It asks for 2-00:00:00, and partition main allows 1-00:00:00.",
        {"limit": 48 * HOUR},
        never=True,
    ),
    Case(
        "PartitionNodeLimit",
        "request",
        "It asks for 5 nodes, and partition main gives a job 4.",
        {"nodes": 5},
        never=True,
    ),
    Case(
        "BadConstraints",
        "request",
        "No node of its partitions has the feature a100; the cluster's nodes have h200, ib.",
        {"features": "a100"},
        never=True,
    ),
    Case(
        "PartitionConfig",
        "request",
        "It asks for 16 GPUs on a node, and no node of partition main has more than 8 GPUs.",
        {"tres": {"gres/gpu": 16.0}},
        never=True,
    ),
    Case(
        "MaxMemPerLimit",
        "request",
        "It asks for 32 GB of memory on a node, and partition main gives a job 16 GB of memory.",
        {"cluster": {"partitions": {"main": replace(MAIN, max_mem=16 * 1024)}}},
        never=True,
    ),
    Case(
        "AccountNotAllowed",
        "permission",
        "Its account is team-a, and partition main is for team-b.",
        {"cluster": {"partitions": {"main": replace(MAIN, accounts=("team-b",))}}},
        never=True,
    ),
    Case(
        "Job's QOS not permitted to use this partition (main allows interactive not production)",
        "permission",
        "Its QOS is production, and partition main is for interactive.",
        {"cluster": {"partitions": {"main": replace(MAIN, qos=("interactive",))}}},
        never=True,
    ),
    # other jobs, times, reservations, licences
    Case(
        "Dependency",
        "dependency",
        "It starts once job 11 has succeeded: it runs, until",
        {"dependency": "afterok:11(unfulfilled)"},
        frees="job 11 (ann) ends at",
        enough=1.0,
    ),
    Case(
        "Dependency",
        "dependency",
        "It starts once job 90 has ended: it waits itself (Resources).",
        {"dependency": "afterany:11(unfulfilled),afterany:90(unfulfilled)"},
        frees="job 11",
    ),
    Case(
        "Dependency",
        "dependency",
        "One of these is enough.",
        {"dependency": "afterany:11(unfulfilled)?afterany:90(unfulfilled)"},
        frees="job 11",
        enough=1.0,
    ),
    Case("Dependency", "dependency", "no other job of ann with its name", {"dependency": "singleton(unfulfilled)"}),
    Case(
        "DependencyNeverSatisfied",
        "dependency",
        "It starts once job 7 has succeeded: that cannot happen any more.",
        {"dependency": "afterok:7(failed)"},
        never=True,
    ),
    Case(
        "BeginTime", "time", "It is not to start before", {"eligible": NOW + HOUR}, frees="it may start at", enough=1.0
    ),
    Case(
        "BeginTime",
        "time",
        "It was requeued, and Slurm lets a requeued job wait until",
        {"eligible": NOW + 60, "fields": {"Restarts": "1"}},
        frees="it may start at",
        enough=60 / HOUR,
    ),
    Case("JobHeldUser", "held", "It is held by its owner", never=True),
    Case("JobHeldAdmin", "held", "It is held by an administrator", never=True),
    Case("JobHoldMaxRequeue", "held", "It has been requeued 5 times.", {"fields": {"Restarts": "5"}}, never=True),
    Case("launch failed requeued held", "held", "It could not be started and is held", never=True),
    Case(
        "Reservation",
        "reservation",
        "Its reservation course begins at",
        {"reservation": "course", "cluster": {"reservations": (OWN,)}},
        frees="reservation course begins at",
        enough=1.0,
    ),
    Case(
        "Reservation",
        "reservation",
        "Its reservation course has begun and ends at",
        {
            "reservation": "course",
            "cluster": {"reservations": (replace(OWN, start=NOW - HOUR),)},
            "others": (replace(BOB, reservation="course"), ANN),
        },
        holders=("12",),
        frees="job 12 (bob) ends",
    ),
    Case(
        "ReservationDeleted",
        "reservation",
        "The reservation that it asks for is gone.",
        {"reservation": "course"},
        never=True,
    ),
    Case(
        "Licenses",
        "licence",
        "3 of 4 licences matlab are in use; this job asks for 2.",
        {
            "licenses": "matlab:2",
            "cluster": {"licenses": (License(name="matlab", total=4, used=3),)},
            "others": (replace(ANN, licenses="matlab:1"), replace(BOB, licenses="matlab:2")),
        },
        holders=("12", "11"),
        frees="job 12 (bob) ends",
    ),
    Case(
        "JobArrayTaskLimit",
        "array",
        "1 task of the 1 that may run at the same time in its array.",
        {
            "job_id": "100_[4-9%1]",
            "fields": {"ArrayTaskThrottle": "1"},
            "others": (replace(running("110", "ann", "n1", 1.0), job_id="100_3", array_id="100"), BOB),
        },
        holders=("100_3",),
        frees="job 100_3 (ann) ends",
        enough=1.0,
    ),
    Case(
        "None",
        "unseen",
        "Slurm last looked at it at 2026-11-29T08:00:00.",
        {"fields": {"LastSchedEval": "2026-11-29T08:00:00"}},
    ),
    Case("Cleaning", "system", "What is left of its last start is being cleaned up."),
    Case("Prolog", "system", "The site's script that prepares its nodes is still running."),
]


@pytest.mark.parametrize("case", CASES, ids=[f"{number}-{case.reason[:30]}" for number, case in enumerate(CASES)])
def test_what_is_said_of_a_reason(case: Case) -> None:
    found = answer(case.reason, **case.given)
    assert found.category == case.category
    assert case.says in " ".join([found.summary, *found.facts])
    limit = found.limit
    assert (limit and (limit.ceiling.what, limit.ceiling.limit, limit.ceiling.used)) == case.limit
    assert tuple(holder.job_id for holder in found.holders) == case.holders
    assert bool(found.release) == bool(case.frees)
    assert case.frees in (found.release.what if found.release else "")
    if case.enough == -1:
        assert found.release
        assert found.release.enough_at
    else:
        enough = found.release and found.release.enough_at
        assert (enough and round((enough - NOW) / HOUR, 3)) == (case.enough and round(case.enough, 3))
    assert found.never == case.never
    assert found.unknown == ()
    assert not found.evidence


def test_the_table_is_long_enough_and_has_every_kind() -> None:
    assert len({case.reason for case in CASES}) >= 40
    kinds = {case.category for case in CASES}
    assert kinds == set(Category.__args__) - {"unknown", "running", "ended"}  # type: ignore[attr-defined]


CODES = """
None Prolog Priority Dependency Resources PartitionNodeLimit PartitionTimeLimit PartitionDown PartitionInactive
JobHeldAdmin JobHeldUser BeginTime Licenses AssociationJobLimit AssociationResourceLimit AssociationTimeLimit
Reservation ReqNodeNotAvail FrontEndDown SchedDefer NodeDown BadConstraints SystemFailure JobLaunchFailure
NonZeroExitCode RaisedSignal TimeLimit InactiveLimit InvalidAccount InvalidQOS QOSUsageThreshold QOSJobLimit
QOSResourceLimit QOSTimeLimit Cleaning QOSNotAllowed AccountNotAllowed DependencyNeverSatisfied JobHoldMaxRequeue
JobArrayTaskLimit BurstBufferResources BurstBufferStageIn BurstBufferOperation PowerNotAvail PowerReserved DeadLine
PartitionConfig AccountingPolicy FedJobLock OutOfMemory MaxMemPerLimit ReservationDeleted ReservationInvalid
Constraints MaxPoweredUpNodes MpiPortsBusy
QOSGrpCpuLimit QOSGrpCPUMinutesLimit QOSGrpCPURunMinutesLimit QOSGrpJobsLimit QOSGrpMemLimit QOSGrpNodeLimit
QOSGrpSubmitJobsLimit QOSGrpWallLimit QOSMaxCpuPerJobLimit QOSMaxCpuMinutesPerJobLimit QOSMaxNodePerJobLimit
QOSMaxWallDurationPerJobLimit QOSMaxCpuPerUserLimit QOSMaxJobsPerUserLimit QOSMaxNodePerUserLimit
QOSMaxSubmitJobPerUserLimit QOSMinCpuNotSatisfied AssocGrpCpuLimit AssocGrpCPUMinutesLimit AssocGrpCPURunMinutesLimit
AssocGrpJobsLimit AssocGrpMemLimit AssocGrpNodeLimit AssocGrpSubmitJobsLimit AssocGrpWallLimit AssocMaxJobsLimit
AssocMaxCpuPerJobLimit AssocMaxCpuMinutesPerJobLimit AssocMaxNodePerJobLimit AssocMaxWallDurationPerJobLimit
AssocMaxSubmitJobLimit AssocMaxCpuPerNode AssocGrpMemMinutes AssocGrpMemRunMinutes AssocMaxMemPerJob
AssocMaxMemPerNode AssocMaxMemMinutesPerJob AssocGrpNodeMinutes AssocGrpNodeRunMinutes AssocMaxNodeMinutesPerJob
QOSMaxCpuPerNode QOSGrpMemoryMinutes QOSGrpMemoryRunMinutes QOSMaxMemoryPerJob QOSMaxMemoryPerNode
QOSMaxMemoryPerUser QOSMaxMemoryMinutesPerJob QOSMinMemory QOSGrpNodeMinutes QOSGrpNodeRunMinutes
QOSMaxNodeMinutesPerJob QOSMinNode MaxCpuPerAccount MaxNodePerAccount MaxMemoryPerAccount MaxJobsPerAccount
MaxSubmitJobsPerAccount
"""
"""Slurm's codes in releases 22.05 to 25.11 (job_state_reason.c), without the families below."""

FAMILY = """
AssocGrp# AssocGrp#Minutes AssocGrp#RunMinutes AssocMax#PerJob AssocMax#PerNode AssocMax#MinutesPerJob QOSGrp#
QOSGrp#Minutes QOSGrp#RunMinutes QOSMax#PerJob QOSMax#PerNode QOSMax#PerUser QOSMax#MinutesPerJob QOSMin#
Max#PerAccount Max#RunMinsPerAccount Max#RunMinsPerUser
"""
RESOURCES = ("GRES", "Billing", "License", "Energy", "BB", "Unknown")
ALL_CODES = [*CODES.split(), *(code.replace("#", what) for code in FAMILY.split() for what in RESOURCES)]


@pytest.mark.parametrize("reason", ALL_CODES)
def test_every_code_has_a_kind_and_without_evidence_no_holder_is_made_up(reason: str) -> None:
    found = answer(reason, caps=None, others=(), cluster={"nodes": (), "priorities": None}, fields={"Reason": reason})
    assert found.category != "unknown"
    assert found.summary.endswith(".")
    assert (found.limit, found.holders, found.hidden) == (None, (), 0.0)
    if found.category == "limit":
        assert found.unknown
        assert found.evidence == {"Reason": reason}


def test_the_sentences_and_the_kinds_are_of_the_same_codes() -> None:
    assert [reason for reason in REASONS if answer(reason, caps=None).category == "unknown"] == []


def test_a_code_of_a_later_release_is_shown_with_the_evidence() -> None:
    found = answer("MoonPhase", fields={"Reason": "MoonPhase", "Priority": "4", "Licenses": "(null)", "Comment": "x"})
    assert found.category == "unknown"
    assert found.unknown == ("What MoonPhase means, and what ends it, is not known here.",)
    assert found.evidence == {"Reason": "MoonPhase", "Priority": "4"}


def test_what_hidden_jobs_hold_is_counted() -> None:
    """With PrivateData=jobs the queue shows one's own jobs alone, while the use of the limit is of all."""
    found = answer("AssocGrpGRES", caps=(TEAM,), others=(ANN,), cluster={"private": frozenset({"jobs"})})
    assert [holder.job_id for holder in found.holders] == ["11"]
    assert found.hidden == 4
    assert found.release
    assert found.release.enough_at == NOW + HOUR
    resources = answer("Resources", others=(ANN,))
    assert resources.hidden == 12


def test_a_limit_that_leaves_room_is_said_to_be_unsure() -> None:
    found = answer("AssocGrpGRES", caps=(replace(TEAM, limit=20),))
    assert found.limit
    assert not found.limit.exceeded
    assert found.unknown == ("Slurm says AssocGrpGRES, but the use it shows now leaves room for the job.",)
    assert found.evidence


def test_another_users_job_is_spoken_of_by_name() -> None:
    caps = (cap("qos", "production", "user", "gres/gpu", 6, 4),)
    assert answer("QOSMaxGRESPerUser", caps=caps, cluster={"viewer": "bob"}).summary.startswith(
        "ann has 4 of the 6 GPUs"
    )


def test_a_second_limit_that_is_exceeded_as_well_is_mentioned() -> None:
    found = answer("AssocGrpGRES", caps=(TEAM, cap("account", "research", "all", "gres/gpu", 16, 16)))
    assert found.limit
    assert found.limit.ceiling.name == "team-a"
    assert "account research" in found.facts[0]


def test_a_job_that_runs_or_has_ended_does_not_wait() -> None:
    runs = answer("None", state="RUNNING", started=NOW, ends=NOW + HOUR, node_list="n1")
    assert (runs.category, runs.rank) == ("running", None)
    assert "it runs since" in runs.summary
    assert "on n1, until" in runs.summary
    ended = answer("TimeLimit", state="TIMEOUT", ends=NOW)
    assert ended.category == "ended"
    assert "(TIMEOUT: time limit)" in ended.summary


def test_the_place_in_the_queue_leaves_out_who_is_held_or_waits_for_a_time() -> None:
    held = waiting("91", "bob", 950, reason="JobHeldUser")
    later = waiting("92", "bob", 960, reason="BeginTime")
    limited_too = waiting("93", "ann", 970, reason="QOSGrpGRES", job_id="93_[1-3]", array_id="93")
    elsewhere = waiting("94", "bob", 990, partitions=("other",))
    rank = answer("Priority", others=(*OTHERS, held, later, limited_too, elsewhere)).rank
    assert rank
    assert (rank.place, rank.of, rank.gpus_ahead) == (5, 6, 16)
    assert (rank.limited_ahead, rank.own_ahead) == (3, 3)


def test_jobs_of_the_same_priority_go_by_number() -> None:
    rank = answer("Priority", others=(waiting("99", "bob", 500), waiting("102", "bob", 500))).rank
    assert rank
    assert (rank.place, rank.of) == (2, 3)


def test_the_priority_is_taken_apart_against_the_jobs_ahead() -> None:
    found = answer("Priority")
    rows = {part.name: (part.own, part.first, part.median) for part in found.parts}
    assert rows == {"age": (100, 100, 100), "fairshare": (200, 100, 100), "QOS": (200, 700, 700)}


def test_that_higher_priorities_are_not_shown_is_said() -> None:
    found = answer("Priority", others=(ANN, EVE))
    assert found.unknown == ("Slurm says that jobs of higher priority are before it, but the queue shows none to you.",)


@pytest.mark.parametrize("reason", ["JobHeldUser", "JobHeldAdmin"])
def test_a_held_job_is_not_expected_to_start(reason: str) -> None:
    """Slurm leaves the estimate in place that the job had before it was held."""
    assert answer("Resources", started=NOW + HOUR).expected_start == NOW + HOUR
    assert answer(reason, started=NOW + HOUR).expected_start is None
