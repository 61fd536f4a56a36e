"""What a session asks Slurm for: the user's options, the site's defaults, and what the cluster allows. Pure."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable
from dataclasses import dataclass, replace

from passingloop.interactive.idle import LIMIT_NOTICE
from passingloop.interactive.session import Kind
from passingloop.site import Interactive
from passingloop.slurm.batch import Request
from passingloop.slurm.capacity.facts import Facts
from passingloop.slurm.capacity.limits import cpus_per_task, has_gpus
from passingloop.slurm.capacity.policy import Caps
from passingloop.slurm.notation import duration_text, seconds

JOB_NAME = "passingloop-{kind}"

SETTING = re.compile(r"\b(?:resources|cluster)\.(gpus|nodes|cpus|mem|time|partition|account|qos)\b")


@dataclass(frozen=True, kw_only=True, slots=True)
class Options:
    """What the user has asked for; None where it is left to the site and Slurm."""

    nodes: int | None = None
    gpus: int | None = None
    """Per node, as `cpus` and `mem`."""
    cpus: int | None = None
    mem: str | None = None
    time: str | None = None
    partition: str | None = None
    account: str | None = None
    qos: str | None = None

    @property
    def words(self) -> list[str]:
        """As words of a command line."""
        return [f"--{name}={value}" for name, value in self._given().items()]

    def beyond(self, nodes: int, gpus: int, cpus: int) -> list[str]:
        """The options that a session with these has not, as words."""
        there = {"nodes": nodes, "gpus": gpus, "cpus": cpus}
        return [f"--{name}={value}" for name, value in self._given().items() if name in there and value > there[name]]

    def _given(self) -> dict[str, int]:
        return {name: value for name in self.__slots__ if (value := getattr(self, name)) is not None}


def session_request(kind: Kind, options: Options, defaults: Interactive, facts: Facts) -> Request:
    """The job of a session of `kind`."""
    partition = options.partition or defaults.partition
    gpus = options.gpus
    if gpus is None:
        gpus = defaults.gpus if has_gpus(facts, partition) else 0
    qos = options.qos or default_qos(defaults, facts)
    return Request(
        name=JOB_NAME.format(kind=kind),
        nodes=options.nodes or 1,
        gpus=gpus,
        tasks=1,
        cpus=options.cpus or cpus_per_task(facts, partition, gpus, 1),
        mem=options.mem,
        time=options.time or default_time(defaults, facts, partition, options.account, qos),
        partition=partition,
        account=options.account,
        qos=qos,
        extra=(),
    )


def default_qos(defaults: Interactive, facts: Facts) -> str | None:
    """The site's QOS, unless the cluster is known not to have it."""
    known = facts.qos
    return defaults.qos if defaults.qos and (not known or defaults.qos.lower() in known) else None


def default_time(
    defaults: Interactive, facts: Facts, partition: str | None, account: str | None, qos: str | None
) -> str:
    """The site's time limit, or less where partition, QOS or account allow less."""
    partitions = facts.named_partitions(partition)
    longest = [part.max_time for part in partitions if part.max_time is not None]
    names = [qos, *(part.own_qos for part in partitions)]
    caps = [facts.qos[name.lower()].caps for name in names if name and name.lower() in facts.qos]
    caps += [found.caps for part in partitions if (found := facts.account(account, part.name))]
    limits = [*longest, *_walls(caps)]
    wanted = seconds(defaults.time)
    assert wanted is not None, "the site's settings are checked"
    return duration_text(min(limits)) if limits and min(limits) < wanted else defaults.time


def _walls(caps: Iterable[Caps]) -> list[float]:
    return [float(cap["job", "wall"].limit) for cap in caps if ("job", "wall") in cap]


def without_qos(request: Request) -> Request:
    """The same without a QOS, for a cluster that turns out not to have the site's default."""
    return replace(request, qos=None)


def sbatch_options(request: Request) -> list[str]:
    """The words for sbatch. It is no job to start again: nobody would be there."""
    options = {
        "job-name": request.name,
        "nodes": request.nodes,
        "ntasks-per-node": request.tasks,
        "cpus-per-task": request.cpus,
        "gpus-per-node": request.gpus or None,
        "mem": request.mem,
        "time": request.time,
        "partition": request.partition,
        "account": request.account,
        "qos": request.qos,
        "signal": f"B:USR1@{LIMIT_NOTICE}",
    }
    return [f"--{name}={value}" for name, value in options.items() if value is not None] + ["--no-requeue"]


def with_options(sentence: str) -> str:
    """A sentence that names settings of runs, such as ``cluster.qos``, with the options of a session: ``--qos``."""
    return SETTING.sub(r"--\1", sentence.replace("cluster.extra", "the request"))


def keeper_script(command: list[str]) -> str:
    """The batch script. The warning of the time limit may come before the keeper listens, and is not to end it."""
    return f"#!/bin/sh\ntrap '' USR1\nexec {shlex.join(command)}\n"
