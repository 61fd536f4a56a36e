"""The resources a batch job requests, and the check of its script with sbatch before it is submitted."""

from __future__ import annotations

import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from passingloop.errors import ConfigError, SlurmRefused, SlurmSilent
from passingloop.slurm.command import run_command
from passingloop.slurm.notation import timestamp

ADVICE = {
    "Invalid account": "Set a cluster.account that you are a member of, and a cluster.partition that it may use.",
    "Invalid qos": "The account may not use that QOS. Set another cluster.qos or cluster.account.",
    "partition": "Set a cluster.partition that you may use; sinfo lists them.",
    "node configuration|CPU count|memory specification|processors|node count": (
        "No node has what resources and cluster.extra ask for together. Ask for less."
    ),
    "generic resource": "Correct cluster.extra; resources.gpus alone asks for GPUs of any kind.",
    "feature": "cluster.extra.constraint names a feature that no node has.",
    "time limit is|time-min|Wall": "Set a shorter resources.time.",
    "SubmitJob": "Submit fewer at a time, or set another cluster.qos or cluster.account.",
    "policy": "Ask for less, or set another cluster.qos or cluster.account.",
    "option '": "cluster.extra takes the long names of sbatch's options, each with a value if it has one.",
    "specification|argument|value|reservation|node name|dependency": "Correct it in cluster.extra.",
}
"""What to do, by a pattern that sbatch's message contains. The first match counts."""

NO_NODE_MESSAGE = re.compile("node configuration|nodes are busy")
"""sbatch's messages for a job that fits on no node. With --test-only they also come while the fitting nodes are down,
drained or reserved; such a job, when submitted, is accepted and waits."""

AVAILABLE_NODE = re.compile(r"(idle|mixed|allocated|completing|planned)[~#%-]?")
"""States of nodes that accept jobs, as sinfo(1) writes them. Nodes in power saving accept jobs."""

TEST = ("sbatch", "--test-only")

EXPECTED_START = re.compile(r" to start at (\S+) ")

AT_ONCE = 4
"""Questions that slurmctld gets at the same time, each of which takes it some milliseconds."""

TIMEOUT = 10.0
"""Seconds to wait for sbatch --test-only, which is slow when many jobs are queued; submitting is not."""

SHORT = 5.0
"""Seconds, where a job that is asked to stop waits for the answer."""

SBATCH_PREFIX = re.compile(r"allocation failure: |Batch job submission failed: |Try \"sbatch --help\".*")


@dataclass(frozen=True, kw_only=True, slots=True)
class Request:
    """The options of one submission. None leaves an option to Slurm."""

    name: str
    nodes: int
    gpus: int
    """Per node."""
    tasks: int
    """Processes per node."""
    cpus: int | None
    """Per process."""
    mem: str | None
    """Per node, as ``16G``."""
    time: str | None
    """In Slurm's notation, as ``4:00:00``."""
    partition: str | None
    """One, or several with commas."""
    account: str | None
    qos: str | None
    extra: tuple[tuple[str, str | int | bool], ...]
    """Further options by their long names, with their values; true for one without a value."""
    gpu_type: str | None = None
    """Of the GPUs, as in Slurm's Gres; None is any."""
    shards: int = 0
    """Parts of one GPU (gres/shard), instead of whole ones."""


def check_script(script: str) -> float | None:
    """Check the text of a batch script with ``sbatch --test-only``, which submits nothing.

    If slurmctld does not answer, or nodes are down, the script passes; submitting it checks it again.

    Returns when Slurm expects to start it, in seconds since the epoch; None if it is not known.

    Raises:
        ConfigError: sbatch refuses it; the message has sbatch's reason and what to do.
        SlurmMissing: there is no Slurm here.
    """
    try:
        return read_expected_start(run_command(*TEST, stdin=script, timeout=TIMEOUT, merged=True))
    except SlurmSilent:
        return None
    except SlurmRefused as refusal:
        if NO_NODE_MESSAGE.search(refusal.text) and not _all_nodes_available():
            return None
        raise ConfigError(f"Slurm would not take the job: {refusal_sentence(refusal.text)}") from refusal


def expected_starts(scripts: Sequence[str], *options: str) -> list[float | None]:
    """When Slurm expects to start each of these batch scripts with `options`, as `check_script`; some at a time.

    None also for those that it refuses.
    """
    with ThreadPoolExecutor(AT_ONCE) as threads:
        return list(threads.map(lambda script: _expected_start(script, options), scripts))


def _expected_start(script: str, options: Sequence[str]) -> float | None:
    try:
        return read_expected_start(run_command(*TEST, *options, stdin=script, timeout=SHORT, merged=True))
    except (SlurmSilent, SlurmRefused):
        return None


def read_expected_start(text: str) -> float | None:
    """Parse ``Job 7 to start at 2026-11-29T12:49:13 using 1 processors on …``, which sbatch --test-only prints."""
    match = EXPECTED_START.search(text)
    return timestamp(match[1]) if match else None


def _all_nodes_available() -> bool:
    """Whether all nodes accept jobs now: then a job that fits on none of them never starts."""
    states = run_command("sinfo", "--all", "--noheader", "--format=%T").split()
    return all(AVAILABLE_NODE.fullmatch(state) for state in states)


def refusal_sentence(message: str) -> str:
    """sbatch's message, whose parts are separated by semicolons, and what to do about it, as sentences."""
    parts = [part for part in (SBATCH_PREFIX.sub("", part).strip() for part in message.split(";")) if part]
    reason = "; ".join(dict.fromkeys(parts))
    advice = next((advice for pattern, advice in ADVICE.items() if re.search(pattern, reason, re.IGNORECASE)), "")
    return f"{reason}. {advice}".rstrip()
