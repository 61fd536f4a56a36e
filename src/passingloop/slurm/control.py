"""What is done to jobs, and all that Slurm knows of one."""

from __future__ import annotations

import re
from collections.abc import Sequence

from passingloop.errors import SlurmRefused
from passingloop.slurm.array import grouped
from passingloop.slurm.command import ask

AT_ONCE = 200
"""Jobs named in one scancel; a command line has an end."""

OVER = re.compile("Invalid job id|already complet")
"""How scancel says that a job has ended, or is about to."""

WHOLE_LINE = re.compile(r" *(?:JobId=\S+ (?:Array\S+ )*(?=JobName=))?(JobName|Command|WorkDir|Std\w+|\w*Comment)=(.*)")
"""Values that people choose; nothing but the end of the line ends them."""


def job(job_id: str) -> dict[str, str]:
    """``scontrol show job`` by keys, such as JobState, NodeList, Restarts. For an array's number its first task.

    Raises:
        SlurmRefused: Slurm does not know the job (any more).
    """
    return read(ask("scontrol", "show", "job", job_id, timeout=10.0))


def read(text: str) -> dict[str, str]:
    """The first job of what ``scontrol show job`` prints; jobs are separated by empty lines."""
    found: dict[str, str] = {}
    for line in text.split("\n"):
        if found and not line.strip():
            break
        whole = WHOLE_LINE.match(line)
        free = {whole[1]: whole[2]} if whole else {}
        told = line[: whole.start(1)] if whole else line
        found |= dict(re.findall(r"(?:^|\s)([A-Za-z][\w:/]*)=(\S*)", told)) | free
    return found


def requeue(job_id: str) -> None:
    """Put the job back into the queue; its processes are ended."""
    ask("scontrol", "requeue", job_id)


def steps(job_id: str) -> list[str]:
    """What the job runs at the moment, as ``12.0``, apart from batch script, extern and interactive steps."""
    found = ask("squeue", "--noheader", "--steps", f"--jobs={job_id}", "--format=%i").split()
    return [step for step in found if step.rpartition(".")[2].isdigit()]


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
    names = list(grouped(job_ids))
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
