"""Why a job is pending: Slurm's reason codes as sentences, with what would help."""

from __future__ import annotations

import re

REASONS = {
    "None": "Slurm has not looked at it yet",
    "SchedDefer": "Slurm has not looked at it yet",
    "Priority": "jobs of higher priority are before it",
    "Resources": "what it asks for is in use; it is next when enough is free",
    "Dependency": "it waits for another job to end",
    "DependencyNeverSatisfied": "the job it waits for has failed, so it never starts: cancel it",
    "BeginTime": "it starts a little later, as requeued jobs do",
    "Cleaning": "what is left of its last start is being cleaned up",
    "DeadLine": "it cannot end before its deadline, so it never starts",
    "JobHeldUser": "it is held by its owner: passingloop release lets it go",
    "JobHeldAdmin": "it is held by an administrator; only they can let it go",
    "JobHoldMaxRequeue": "it was requeued too often and is held: passingloop release lets it go",
    "JobLaunchFailure": "it could not be started and is held: passingloop release tries again",
    "launch failed requeued held": "it could not be started and is held: passingloop release tries again",
    "NonZeroExitCode": "it ended with an error before, and is held",
    "SystemFailure": "Slurm or the node failed while it started",
    "JobArrayTaskLimit": "as many of its sweep are running as sweep.parallel allows",
    "PartitionTimeLimit": "it asks for more time than the partition allows: lower resources.time",
    "PartitionNodeLimit": "it asks for more nodes than the partition gives a job: lower resources.nodes",
    "PartitionDown": "the partition takes jobs but starts none; the administrators have closed it",
    "PartitionInactive": "the partition is not in use; the administrators have closed it",
    "PartitionConfig": "it asks for what the partition has not, or its account may not use it: see cluster, resources",
    "ReqNodeNotAvail": "nodes that it asks for are down or reserved",
    "Nodes required for job are DOWN": "the nodes that it could run on are down, or kept for others",
    "NodeDown": "a node that it needs is down",
    "FrontEndDown": "no front-end node is up",
    "Reservation": "it waits for a reservation to begin",
    "ReservationDeleted": "the reservation that it asks for is gone",
    "BadConstraints": "no node has the features it asks for: see cluster.extra",
    "InvalidAccount": "its account is not valid any more: see cluster.account",
    "InvalidQOS": "its QOS is not valid any more: see cluster.qos",
    "AccountNotAllowed": "its account may not use the partition: see cluster.account and cluster.partition",
    "Job's account not permitted to use this partition": "its account may not use the partition",
    "QOSNotAllowed": "its QOS may not be used there: see cluster.qos and cluster.partition",
    "Job's QOS not permitted to use this partition": "its QOS may not be used in the partition",
    "QOSUsageThreshold": "you have used more than your share of late, so its QOS starts no job of yours for now",
    "AccountingPolicy": "a limit of its account or QOS stands in its way",
    "MaxMemPerLimit": "it asks for more memory than the cluster gives a job: lower resources.mem",
    "Licenses": "it waits for a licence",
    "BurstBufferResources": "it waits for room in the burst buffer",
    "BurstBufferStageIn": "its files are being copied to the burst buffer",
    "BurstBufferOperation": "it waits for the burst buffer",
    "PowerNotAvail": "it would need more power than there is now",
    "PowerReserved": "it would need power that is reserved",
    "FedJobLock": "another cluster of the federation is about to take it",
    "Prolog": "the site's script that prepares its nodes is still running",
    "ReservationInvalid": "the reservation that it asks for does not let it in",
    "Constraints": "no node has the features it asks for: see cluster.extra",
    "MaxPoweredUpNodes": "as many nodes are powered up as the site allows",
    "MpiPortsBusy": "the ports that its MPI needs are in use",
    "RaisedSignal": "it was ended by a signal before, and is held",
    "TimeLimit": "it ran into its time limit before, and is held",
    "OutOfMemory": "it ran out of memory before, and is held",
    "InactiveLimit": "it was inactive for too long before, and is held",
    "user env retrieval failed requeued held": "its environment could not be read, and it is held: scontrol release "
    "JOBID tries again",
}
"""squeue(1), JOB REASON CODES, and job_state_reason.c in Slurm's source, releases 22.05 to 25.11.

The longer keys are sentences that slurmctld gives in place of a code.
"""

HELD = ("JobHeldUser", "JobHeldAdmin", "JobHoldMaxRequeue", "JobLaunchFailure", "launch failed requeued held")
"""The reasons of jobs that stay pending until they are released."""

LIMIT = re.compile(
    r"(?P<who>QOS|Assoc(?!iation)|(?=Max\w+Per(?:Account|User)))"
    r"(?P<kind>Grp|Min|Max)(?P<what>\w*?)(?P<time>RunMinutes|RunMins|Minutes)?"
    r"(?:(?P<per>Per\w+?)|NotSatisfied)?(?:Limit)?"
)
"""The families QOSGrp…, QOSMin…, QOSMax…PerJob, …PerNode, …PerUser, AssocGrp…, AssocMax…PerJob, Max…PerAccount,
Max…PerUser."""

LIMIT_OWNERS = {"QOS": "its QOS", "Assoc": "its account", "": "its QOS"}
LIMITED_RESOURCES = {
    "GRES": "GPUs",
    "Node": "nodes",
    "Cpu": "CPUs",
    "CPU": "CPUs",
    "Mem": "memory",
    "Memory": "memory",
    "Billing": "billed use",
    "License": "licences",
    "Energy": "energy",
    "BB": "burst buffer",
    "SubmitJob": "jobs in the queue",
    "SubmitJobs": "jobs in the queue",
    "Jobs": "jobs at the same time",
    "Wall": "time",
    "WallDuration": "time",
}
UNCOUNTABLE = ("memory", "billed use", "energy", "burst buffer")


def reason_sentence(reason: str) -> str:
    """The reason as a sentence without its full stop. An unknown reason is quoted as it is."""
    first = re.split(r"[,(]", reason)[0].strip()
    if first in REASONS:
        return REASONS[first] if reason == first else f"{REASONS[first]} ({reason})"
    limit = LIMIT.fullmatch(reason)
    if limit and limit["what"] in LIMITED_RESOURCES:
        return _limit_sentence(limit)
    owner = next((owner for prefix, owner in LIMIT_OWNERS.items() if prefix and reason.startswith(prefix)), None)
    return f"a limit of {owner} stands in its way ({reason})" if owner else f"Slurm says {reason}"


def _limit_sentence(limit: re.Match[str]) -> str:
    what, who, per = LIMITED_RESOURCES[limit["what"]], LIMIT_OWNERS[limit["who"]], limit["per"] or ""
    many, fewer = ("much", "less") if what in UNCOUNTABLE else ("many", "fewer")
    if what == "time":
        return _time_sentence(who, grouped=limit["kind"] == "Grp")
    if limit["time"]:
        return _usage_sentence(what, who, limit["time"], per)
    if limit["kind"] == "Min":
        return f"it asks for {fewer} {what} than {who} wants of a job, so it never starts: ask for more"
    if limit["kind"] == "Grp":
        return f"all jobs of {who} together have as {many} {what} as they may; it starts when some of them end"
    if per in ("PerJob", "PerNode"):
        job = "a job" if per == "PerJob" else "a job on one node"
        return f"it asks for more {what} than {who} gives {job}, so it never starts: ask for less"
    if per == "PerAccount":
        return f"your account has as {many} {what} as {who} gives one; it starts when one of its jobs ends"
    return f"you have as {many} {what} as {who} gives one user; it starts when one of your jobs ends"


def _time_sentence(who: str, *, grouped: bool) -> str:
    if grouped:
        return f"the jobs of {who} have used up the time that it is given; only what it is given anew lets it start"
    return f"it asks for more time than {who} allows, so it never starts: lower resources.time"


def _usage_sentence(what: str, who: str, kind: str, per: str) -> str:
    """The sentence for a limit on an amount times minutes: of a job, of the running jobs' rest, or of all use."""
    if per in ("PerUser", "PerAccount"):
        whose = "your jobs" if per == "PerUser" else "the jobs of your account"
        return f"{whose} that run have {what} for as long as {who} gives them; it starts when some of them get on"
    if per:
        return f"it asks for more {what} for longer than {who} gives a job, so it never starts: lower resources.time"
    if kind == "RunMinutes":
        return f"the running jobs of {who} have {what} for as long as they may; it starts when some of them get on"
    return f"the jobs of {who} have used up the hours of {what} it is given; only what it is given anew lets it start"
