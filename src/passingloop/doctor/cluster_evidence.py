"""Asks Slurm what `preemption_checks` and `entitlement_checks` need to know."""

from __future__ import annotations

from collections.abc import Sequence

from passingloop.config.settings import RunConfig
from passingloop.doctor.entitlement_checks import EntitlementEvidence
from passingloop.doctor.preemption_checks import PreemptionEvidence, SaveMeasure
from passingloop.errors import ConfigError, MissingError, SlurmRefused
from passingloop.slurm import control
from passingloop.slurm.batch import Request
from passingloop.slurm.capacity.facts import Facts, cluster_facts, complete_from_database, user_name
from passingloop.slurm.capacity.limits import submission_problems
from passingloop.slurm.command import run_command, run_commands
from passingloop.slurm.rules import preemption_rules
from passingloop.slurm.rules.cluster_rules import read_rules
from passingloop.slurm.rules.preemption_rules import Preemptable
from passingloop.submit.request import request

DATABASE_TIMEOUT = 10.0
"""Seconds. Without slurmdbd less is known."""


def cluster_evidence(config: RunConfig, save: SaveMeasure | None) -> tuple[PreemptionEvidence, EntitlementEvidence]:
    """What is known of preemption, and of what the user may do, for the job that `config` asks for.

    Raises:
        SlurmMissing: there is no Slurm here.
        SlurmSilent: slurmctld does not answer.
    """
    facts = complete_from_database(cluster_facts())
    settings, partitions, jobs = _answers(
        control.CONFIGURATION_COMMAND, preemption_rules.PARTITION_COMMAND, _jobs_command()
    )
    rules, qos = read_rules(settings), _qos_table()
    wanted, refused = _request(config, facts)
    places: dict[str, Preemptable] | None
    if rules.preempt_type == "preempt/partition_prio":
        places = preemption_rules.partition_preemption(partitions, rules)
        used = [partition.name for partition in facts.named_partitions(config.cluster.partition)]
        allowed = [partition.name for partition in facts.partitions.values() if partition.open and not partition.hidden]
    else:
        places = None if qos is None else preemption_rules.qos_preemption(qos, rules)
        used = _used_qos(config, facts)
        allowed = [name for account in facts.accounts for name in account.qos or facts.qos]
    preemption = PreemptionEvidence(
        rules=rules,
        places=places,
        used=used,
        allowed=[name for name in dict.fromkeys(allowed) if name not in used],
        save=save,
        not_requeued=read_not_requeued(jobs),
    )
    entitlement = EntitlementEvidence(
        rules=rules,
        user=user_name(),
        accounts=[account.name for account in facts.accounts],
        refused=refused,
        asked=_words(wanted) if wanted else "see there",
        database_answers=qos is not None,
    )
    return preemption, entitlement


def _answers(*questions: Sequence[str]) -> list[str]:
    """The outputs; empty where Slurm refuses."""
    return ["" if isinstance(text, SlurmRefused) else text for text in run_commands(*questions)]


def _jobs_command() -> list[str]:
    return ["squeue", "--noheader", f"--user={user_name()}", "--Format=JobArrayID: ,BatchFlag: ,Requeue: "]


def read_not_requeued(text: str) -> tuple[str, ...]:
    """The batch jobs that Slurm may not requeue, from squeue's lines of id, batch flag and requeue flag."""
    rows = [line.split() for line in text.splitlines()]
    return tuple(row[0] for row in rows if row[1:] == ["1", "0"])


def _qos_table() -> str | None:
    """None if slurmdbd does not answer, or there is none."""
    try:
        return run_command(*preemption_rules.QOS_COMMAND, timeout=DATABASE_TIMEOUT)
    except (MissingError, SlurmRefused):
        return None


def _request(config: RunConfig, facts: Facts) -> tuple[Request | None, list[str]]:
    """The job, and a sentence for each reason why the cluster would not run it."""
    try:
        wanted = request(config, facts)
    except ConfigError as error:
        return None, [str(error)]
    return wanted, submission_problems({wanted: 1}, facts)


def job_request(config: RunConfig) -> Request:
    """The job that `config` asks for on this cluster.

    Raises:
        ConfigError: see `passingloop.submit.request.request`.
        SlurmMissing, SlurmSilent: there is no Slurm here, or it does not answer.
    """
    return request(config, cluster_facts())


def _used_qos(config: RunConfig, facts: Facts) -> list[str]:
    """The QOS that the job gets: the one that is set, or the default; if that is not known, any may be it."""
    if config.cluster.qos:
        return [config.cluster.qos.lower()]
    partitions = [partition.name for partition in facts.named_partitions(config.cluster.partition)] or [""]
    accounts = [facts.account(config.cluster.account, name) for name in partitions]
    defaults = [account.default_qos for account in accounts if account and account.default_qos]
    return list(dict.fromkeys(defaults))


def _words(wanted: Request) -> str:
    """The job in words."""
    where = {"partition": wanted.partition, "account": wanted.account, "qos": wanted.qos, "time": wanted.time}
    chosen = "".join(f", {name} {value}" for name, value in where.items() if value)
    return f"{wanted.nodes} × {wanted.gpus} GPUs, {wanted.tasks} × {wanted.cpus or 1} CPUs{chosen}"
