"""scontrol and scancel: the configuration, one job, nodes, and what is done to jobs."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from passingloop.errors import PassingloopError, SlurmRefused
from passingloop.slurm.command import ask, value
from passingloop.slurm.notation import grouped_tasks, moment

AT_ONCE = 200
"""Jobs named in one scancel; a command line has an end."""

OVER = re.compile("Invalid job id|already complet")
"""How scancel says that a job has ended, or is about to."""

WHOLE_LINE = re.compile(r" *(?:JobId=\S+ (?:Array\S+ )*(?=JobName=))?(JobName|Command|WorkDir|Std\w+|\w*Comment)=(.*)")
"""Values that people choose; nothing but the end of the line ends them."""

BROKEN = re.compile(r"DOWN|FAIL|DRAIN|NOT_RESPONDING|\*")
"""In the state of a node that has failed; the star is that of one which does not respond."""

CONFIGURATION = ("scontrol", "show", "config")
"""What to ask for `read_configuration`."""

DEFAULT_ARRAY = 1000
"""Tasks of an array where slurmctld does not say: MaxArraySize is 1001 unless set, and caps the index."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Configuration:
    """What we use of ``scontrol show config``."""

    enforced: tuple[str, ...]
    """AccountingStorageEnforce in lower case."""
    max_array_size: int
    """Tasks for one array. Slurm would take one more."""
    preempt_type: str
    """As ``preempt/qos``; empty where slurmctld does not say."""
    kill_wait: float
    """Seconds from SIGTERM to SIGKILL."""


def read_configuration(text: str) -> Configuration:
    """What ``scontrol show config`` prints."""
    settings = dict(re.findall(r"^(\w+)[^\S\n]*=[^\S\n]*(\S+)", text, re.MULTILINE))
    size = settings.get("MaxArraySize")
    return Configuration(
        enforced=tuple(settings.get("AccountingStorageEnforce", "").lower().split(",")),
        max_array_size=int(size) - 1 if size else DEFAULT_ARRAY,
        preempt_type=settings.get("PreemptType", ""),
        kill_wait=float(settings.get("KillWait", 0)),
    )


def job(job_id: str) -> dict[str, str]:
    """``scontrol show job`` by keys, such as JobState, NodeList, Restarts. For an array's number its first task.

    Raises:
        SlurmRefused: Slurm does not know the job (any more).
    """
    return read(ask("scontrol", "show", "job", job_id, timeout=10.0))


def read(text: str) -> dict[str, str]:
    """The first job of what ``scontrol show job`` prints; jobs are separated by empty lines."""
    fields: dict[str, str] = {}
    for line in text.split("\n"):
        if fields and not line.strip():
            break
        whole = WHOLE_LINE.match(line)
        free = {whole[1]: whole[2]} if whole else {}
        told = line[: whole.start(1)] if whole else line
        fields |= dict(re.findall(r"(?:^|\s)([A-Za-z][\w:/]*)=(\S*)", told)) | free
    return fields


def requeue(job_id: str) -> None:
    """Put the job back into the queue; its processes are ended."""
    ask("scontrol", "requeue", job_id)


def steps(job_id: str) -> list[str]:
    """What the job runs at the moment, as ``12.0``, apart from batch script, extern and interactive steps."""
    names = ask("squeue", "--noheader", "--steps", f"--jobs={job_id}", "--format=%i").split()
    return [step for step in names if step.rpartition(".")[2].isdigit()]


def kill(job_id: str) -> None:
    """SIGKILL to what the job's steps run, at once; its batch script sees them end.

    Addressed to the job, the signal would end it as a cancellation does: SIGTERM first, and the script as well.
    """
    for step in steps(job_id):
        try:
            ask("scancel", "--signal=KILL", step)
        except SlurmRefused as refusal:
            if not OVER.search(refusal.text):
                raise


def cancel(job_ids: Sequence[str], signal: str | None = None) -> None:
    """End jobs, or send `signal` to the steps of those that run. Jobs that have ended meanwhile are passed over.

    Raises:
        SlurmRefused: one of them is someone else's; all others are cancelled.
    """
    # For a job that waits, scancel would try again for minutes to send it a signal.
    how = [f"--signal={signal}", "--state=RUNNING"] if signal else []
    names = list(grouped_tasks(job_ids))
    denied = []
    for start in range(0, len(names), AT_ONCE):
        try:
            ask("scancel", *how, *names[start : start + AT_ONCE])
        except SlurmRefused as refusal:
            said = refusal.text.split("; ")
            denied += [words for words in said if "ermission denied" in words]
            if not all(OVER.search(words) or words in denied for words in said):
                raise
    if denied:
        others = ", ".join(re.findall(r"job id (\S+?):", " ".join(denied)))
        raise SlurmRefused(f"These jobs are other users', and only they can cancel them: {others}.")


def node_address(name: str) -> str:
    """The address that Slurm itself uses for the node `name`; it may have another host name than its name here."""
    try:
        match = re.search(r"NodeAddr=(\S+)", ask("scontrol", "show", "node", name, "-o"))
    except PassingloopError:  # some sites have no scontrol on their nodes; the name is usually right
        return name
    return match[1] if match else name


def failed_nodes(names: Sequence[str], since: float) -> list[str] | None:
    """Which of the nodes have failed since that time, in seconds since the epoch; None if Slurm does not tell.

    A node that is back says since when its slurmd has been running.
    """
    try:
        text = ask("scontrol", "--oneliner", "show", "node", ",".join(names), timeout=10.0)
    except PassingloopError:
        return None
    return [value(line, "NodeName") for line in text.splitlines() if line.strip() and _has_failed(line, since)]


def _has_failed(line: str, since: float) -> bool:
    return bool(BROKEN.search(value(line, "State"))) or (moment(value(line, "SlurmdStartTime")) or 0.0) > since
