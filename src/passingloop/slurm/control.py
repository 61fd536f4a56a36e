"""scontrol and scancel: the configuration, one job, nodes; requeueing, killing and cancelling jobs."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from passingloop.errors import PassingloopError, SlurmRefused
from passingloop.slurm.command import field_value, run_command
from passingloop.slurm.notation import grouped_tasks, timestamp

JOBS_PER_CALL = 200
"""Job ids passed to one scancel command; the length of a command line is limited."""

JOB_ENDED_MESSAGE = re.compile("Invalid job id|already complet|already finished")
"""The messages of scancel and scontrol for a job that has ended or is ending."""

LOW_NICE = 10_000
"""The least nice value of jobs with low priority."""

PRIORITY_WEIGHTS = ("PriorityWeightAge", "PriorityWeightAssoc", "PriorityWeightFairShare", "PriorityWeightJobSize")
"""What a job's priority gets at most for other things than its QOS and partition, scontrol show config."""

FREE_TEXT_FIELD = re.compile(
    r" *(?:JobId=\S+ (?:Array\S+ )*(?=JobName=))?(JobName|Command|WorkDir|Std\w+|\w*Comment)=(.*)"
)
"""Fields with free text, which extends to the end of the line."""

FAILED_NODE_STATE = re.compile(r"DOWN|FAIL|DRAIN|NOT_RESPONDING|\*")
"""Found in the state of a node that has failed; the star marks a node that does not respond."""

CONFIGURATION_COMMAND = ("scontrol", "show", "config")
"""The command whose output `read_configuration` parses."""

DEFAULT_ARRAY = 1000
"""Tasks of an array if MaxArraySize is not shown: its default is 1001, and it limits the task index."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Configuration:
    """The settings of the cluster that are used here."""

    cluster: str
    """Its name."""
    hides_jobs: bool
    """Whether users see only their own jobs (PrivateData)."""
    enforced: tuple[str, ...]
    """AccountingStorageEnforce in lower case."""
    max_array_size: int
    """Tasks for one array; Slurm would accept one more."""
    preempt_type: str
    """Such as ``preempt/qos``; empty if it is not shown."""
    kill_wait: float
    """Seconds from SIGTERM to SIGKILL."""
    low_nice: int = LOW_NICE
    """The nice value with which a job comes after all others of its QOS and partition."""
    private_data: tuple[str, ...] = ()
    """What users do not see of others, such as ``jobs``."""


def read_configuration(text: str) -> Configuration:
    """Parse the output of ``scontrol show config``."""
    settings = config_values(text)
    size = settings.get("MaxArraySize")
    return Configuration(
        cluster=settings.get("ClusterName", ""),
        hides_jobs="jobs" in settings.get("PrivateData", "").lower().split(","),
        enforced=tuple(settings.get("AccountingStorageEnforce", "").lower().split(",")),
        max_array_size=int(size) - 1 if size else DEFAULT_ARRAY,
        preempt_type=settings.get("PreemptType", ""),
        kill_wait=float(settings.get("KillWait", 0)),
        low_nice=max(LOW_NICE, sum(int(settings.get(weight, 0)) for weight in PRIORITY_WEIGHTS)),
        private_data=tuple(settings.get("PrivateData", "none").lower().split(",")),
    )


def config_values(text: str) -> dict[str, str]:
    """The first word of each setting in the output of ``scontrol show config``."""
    return dict(re.findall(r"^(\w+)[^\S\n]*=[^\S\n]*(\S+)", text, re.MULTILINE))


def job_fields(job_id: str) -> dict[str, str]:
    """The fields of ``scontrol show job``, such as JobState, NodeList, Restarts; for an array, those of its first task.

    Raises:
        SlurmRefused: slurmctld does not know the job, or no longer.
    """
    return read_job_fields(run_command("scontrol", "show", "job", job_id, timeout=10.0))


def read_job_fields(text: str) -> dict[str, str]:
    """Parse the first job in the output of ``scontrol show job``; jobs are separated by empty lines."""
    fields: dict[str, str] = {}
    for line in text.split("\n"):
        if fields and not line.strip():
            break
        match = FREE_TEXT_FIELD.match(line)
        free_text = {match[1]: match[2]} if match else {}
        rest = line[: match.start(1)] if match else line
        fields |= dict(re.findall(r"(?:^|\s)([A-Za-z][\w:/]*)=(\S*)", rest)) | free_text
    return fields


def requeue_job(job_id: str) -> None:
    """Requeue the job; Slurm ends its processes."""
    run_command("scontrol", "requeue", job_id)


def forbid_requeue(job_id: str) -> None:
    """Have the job stay ended once it has ended, also where Slurm would start it again by itself."""
    run_command("scontrol", "update", f"jobid={job_id}", "requeue=0")


def step_ids(job_id: str, name: str | None = None) -> list[str]:
    """The ids of the job's running steps, as ``12.0``, without the batch, extern and interactive steps.

    Args:
        name: only the steps of this name.
    """
    lines = run_command("squeue", "--noheader", "--steps", f"--jobs={job_id}", "--format=%i %j").splitlines()
    steps = [line.partition(" ")[::2] for line in lines]
    return [step for step, named in steps if step.rpartition(".")[2].isdigit() and name in (None, named.strip())]


def signal_steps(job_id: str, signal: str, name: str | None = None) -> list[str]:
    """Send a signal to the job's steps, or to those named `name`; its batch script keeps running. Returns their ids.

    Sent to the job, SIGKILL would cancel it: SIGTERM first, and also to the script.
    """
    steps = step_ids(job_id, name)
    for step in steps:
        try:
            run_command("scancel", f"--signal={signal}", step)
        except SlurmRefused as refusal:
            if not JOB_ENDED_MESSAGE.search(refusal.text):
                raise
    return steps


def cancel_jobs(job_ids: Sequence[str], signal: str | None = None) -> None:
    """Cancel jobs, or send `signal` to the steps of those that are running. Jobs that have ended are ignored.

    Raises:
        SlurmRefused: one of them is another user's; the rest are cancelled.
    """
    # For a pending job scancel would try for minutes to send the signal.
    options = [f"--signal={signal}", "--state=RUNNING"] if signal else []
    names = list(grouped_tasks(job_ids))
    denied = []
    for start in range(0, len(names), JOBS_PER_CALL):
        try:
            run_command("scancel", *options, *names[start : start + JOBS_PER_CALL])
        except SlurmRefused as refusal:
            messages = refusal.text.split("; ")
            denied += [message for message in messages if "ermission denied" in message]
            if not all(JOB_ENDED_MESSAGE.search(message) or message in denied for message in messages):
                raise
    if denied:
        others = ", ".join(re.findall(r"job id (\S+?):", " ".join(denied)))
        raise SlurmRefused(f"These jobs are other users', and only they can cancel them: {others}.")


def hold_jobs(job_ids: Sequence[str]) -> None:
    """Keep jobs from starting, so that their owner can release them. Jobs that have ended are ignored.

    A running job runs on, but would not start again after a requeue.
    """
    _change_jobs(job_ids, "uhold")


def release_jobs(job_ids: Sequence[str]) -> None:
    """Let held jobs start. Jobs that have ended are ignored.

    Raises:
        SlurmRefused: an administrator holds one of them; the rest are released.
    """
    _change_jobs(job_ids, "release")


def set_nice(job_ids: Sequence[str], nice: int) -> None:
    """Lower the priority of jobs by `nice`, also after they have been requeued. Jobs that have ended are ignored."""
    _change_jobs(job_ids, "update", f"nice={nice}", prefix="jobid=")


def _change_jobs(job_ids: Sequence[str], verb: str, *options: str, prefix: str = "") -> None:
    names = list(grouped_tasks(job_ids))
    refusals = []
    for start in range(0, len(names), JOBS_PER_CALL):
        listed = prefix + ",".join(names[start : start + JOBS_PER_CALL])
        try:
            run_command("scontrol", verb, listed, *options)
        except SlurmRefused as refusal:
            messages = refusal.text.split("; ")
            if not all(JOB_ENDED_MESSAGE.search(message) for message in messages):
                refusals.append(refusal)
    if refusals:
        raise refusals[0]


def node_address(name: str) -> str:
    """The address at which Slurm reaches the node `name`; its host name may differ from its name in Slurm."""
    try:
        match = re.search(r"NodeAddr=(\S+)", run_command("scontrol", "show", "node", name, "-o"))
    except PassingloopError:  # some sites have no scontrol on their nodes; the name usually works
        return name
    return match[1] if match else name


def failed_nodes(names: Sequence[str], since: float) -> list[str] | None:
    """Which of the nodes have failed since `since`, in seconds since the epoch; None if Slurm does not answer.

    A node that was rebooted meanwhile is recognised by the start time of its slurmd.
    """
    try:
        text = run_command("scontrol", "--oneliner", "show", "node", ",".join(names), timeout=10.0)
    except PassingloopError:
        return None
    return [field_value(line, "NodeName") for line in text.splitlines() if line.strip() and _has_failed(line, since)]


def _has_failed(line: str, since: float) -> bool:
    return (
        bool(FAILED_NODE_STATE.search(field_value(line, "State")))
        or (timestamp(field_value(line, "SlurmdStartTime")) or 0.0) > since
    )
