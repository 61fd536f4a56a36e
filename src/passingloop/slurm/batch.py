"""What a batch job asks Slurm for, and what sbatch says of its script before it is submitted."""

from __future__ import annotations

import re
from dataclasses import dataclass

from passingloop.errors import ConfigError, SlurmRefused, SlurmSilent
from passingloop.slurm.command import ask

WAYS_OUT = {
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
"""By what the message holds: what to do. The first that fits."""

NO_NODE = re.compile("node configuration|nodes are busy")
"""What sbatch says of a job that no node can take. It says so too while those that could are down, drained or reserved,
but then only when it is asked with --test-only: submitted, such a job is taken, and waits."""

AT_WORK = re.compile(r"(idle|mixed|allocated|completing|planned)[~#%-]?")
"""States of nodes that take jobs, as sinfo(1) writes them; those that save power do."""

PATIENCE = 10.0
"""Seconds. Where Slurm is busy with many jobs, an estimate may take as long as it likes; submitting does not."""

ABOUT_ITSELF = re.compile(r"allocation failure: |Batch job submission failed: |Try \"sbatch --help\".*")


@dataclass(frozen=True, kw_only=True, slots=True)
class Request:
    """The options of one submission. None leaves the choice to Slurm."""

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


def check_script(script: str) -> None:
    """Let sbatch judge the text of a batch script as if it were submitted.

    A script passes if sbatch cannot judge now: it will when the script is submitted.

    Raises:
        ConfigError: it would not be accepted; says what sbatch said, and what to do.
        SlurmMissing: there is no Slurm here.
    """
    try:
        ask("sbatch", "--test-only", stdin=script, timeout=PATIENCE)
    except SlurmSilent:
        return
    except SlurmRefused as refusal:
        if NO_NODE.search(refusal.text) and not _all_at_work():
            return
        raise ConfigError(f"Slurm would not take the job: {refusal_sentence(refusal.text)}") from refusal


def _all_at_work() -> bool:
    """Whether all nodes take jobs now, so that what none of them takes none ever will."""
    states = ask("sinfo", "--all", "--noheader", "--format=%T").split()
    return all(AT_WORK.fullmatch(state) for state in states)


def refusal_sentence(said: str) -> str:
    """What sbatch said, its parts with semicolons between them, as sentences with what to do."""
    parts = [part for part in (ABOUT_ITSELF.sub("", part).strip() for part in said.split(";")) if part]
    told = "; ".join(dict.fromkeys(parts))
    way_out = next((advice for words, advice in WAYS_OUT.items() if re.search(words, told, re.IGNORECASE)), "")
    return f"{told}. {way_out}".rstrip()
