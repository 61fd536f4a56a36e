"""When Slurm would start a job that is asked for in another way: sbatch --test-only, which submits nothing."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from passingloop.errors import SlurmRefused, SlurmSilent
from passingloop.slurm.batch import SBATCH_PREFIX
from passingloop.slurm.command import run_commands
from passingloop.slurm.notation import timestamp

TIMEOUT = 5.0
"""Seconds. The answer is complete without the trials."""

STARTS = re.compile(r"to start at (?P<time>\S+)")

OPTIONS: Mapping[str, str] = {
    "Account": "account",
    "QOS": "qos",
    "Partition": "partition",
    "Reservation": "reservation",
    "Features": "constraint",
    "Licenses": "licenses",
    "ReqNodeList": "nodelist",
    "ExcNodeList": "exclude",
    "NumTasks": "ntasks",
    "CPUs/Task": "cpus-per-task",
    "MinMemoryCPU": "mem-per-cpu",
    "MinMemoryNode": "mem",
    "TimeLimit": "time",
}
"""Fields of ``scontrol show job``, and the options of sbatch that ask for the same."""

GRES_FIELDS = {"TresPerNode": "gres", "TresPerJob": "gpus"}
UNKNOWN_FIELDS = ("TresPerSocket", "TresPerTask", "HetJobId")
"""A job that has one of them cannot be asked for again from its fields."""

CPUS_PER_TASK = re.compile(r"cpu[=:]\d+")
"""What 24.11 and 26.05 show, unlike 22.05, as TresPerTask of a job with --cpus-per-task, beside CPUs/Task."""


@dataclass(frozen=True, kw_only=True, slots=True)
class StartEstimate:
    """sbatch's answer: when it would start the job, or why it would not take it. Both are None if none came in time."""

    start: float | None = None
    refusal: str | None = None


def job_options(fields: Mapping[str, str]) -> dict[str, str] | None:
    """The options of sbatch that would ask for a job again; None if its fields do not suffice for that."""
    unknown = [value for name in UNKNOWN_FIELDS if (value := _value(fields, name))]
    if not fields or not all(CPUS_PER_TASK.fullmatch(value) for value in unknown):
        return None
    options = {option: value for name, option in OPTIONS.items() if (value := _value(fields, name))}
    options["nodes"] = _value(fields, "NumNodes") or "1"
    for name, option in GRES_FIELDS.items():
        text = _value(fields, name)
        if not text:
            continue
        wanted = re.sub(r"gres[:/]", "", text)
        if option == "gpus" and not re.fullmatch(r"gpu(:[^:,]+)?:\d+", wanted):
            return None
        options[option] = wanted.removeprefix("gpu:") if option == "gpus" else wanted
    return options


def start_estimates(requests: Sequence[Mapping[str, str]]) -> list[StartEstimate]:
    """Ask sbatch for all of them at the same time.

    Raises:
        SlurmMissing: there is no Slurm here.
    """
    commands = [
        ("sbatch", "--test-only", *(f"--{name}={value}" for name, value in request.items()), "--wrap=true")
        for request in requests
    ]
    try:
        answers = run_commands(*commands, timeout=TIMEOUT, merged=True)
    except SlurmSilent:
        return [StartEstimate() for _ in requests]
    return [_estimate(answer) for answer in answers]


def _estimate(answer: str | SlurmRefused) -> StartEstimate:
    if isinstance(answer, SlurmRefused):
        parts = [part for part in (SBATCH_PREFIX.sub("", part).strip() for part in answer.text.split(";")) if part]
        return StartEstimate(refusal="; ".join(dict.fromkeys(parts)))
    match = STARTS.search(answer)
    return StartEstimate(start=timestamp(match["time"]) if match else None)


def _value(fields: Mapping[str, str], name: str) -> str:
    value = fields.get(name, "")
    return "" if value in ("(null)", "N/A", "UNLIMITED", "0") else value
