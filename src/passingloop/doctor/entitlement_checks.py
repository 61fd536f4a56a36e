"""What the cluster lets this user do: accounts, limits, arrays; and what it keeps and shows of jobs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from passingloop.doctor.finding import Finding
from passingloop.slurm.rules.cluster_rules import ClusterRules
from passingloop.text import list_excerpt

FEW_TASKS = 100
"""Arrays that may have fewer tasks cut a sweep into many jobs."""

SHORT_MEMORY = 60.0
"""Seconds of MinJobAge after which, without accounting, the end of a job is soon forgotten."""


@dataclass(frozen=True, kw_only=True, slots=True)
class EntitlementEvidence:
    """What the cluster gives to the user, and says of the job that the settings ask for."""

    rules: ClusterRules
    user: str
    accounts: Sequence[str]
    """The accounts that the user may use; empty too where the site does not enforce them."""
    refused: Sequence[str]
    """A sentence for each reason why the cluster would not run the job."""
    asked: str
    """The job in words."""
    database_answers: bool
    """Whether slurmdbd does."""


def entitlement_findings(seen: EntitlementEvidence) -> Iterator[Finding]:
    """All findings about what the user may do."""
    yield from accounts(seen)
    yield from limits(seen)
    yield from arrays(seen.rules)
    yield from accounting(seen)
    yield from privacy(seen.rules)


def accounts(seen: EntitlementEvidence) -> Iterator[Finding]:
    """Whether the user is a member of an account, where jobs need one."""
    if "associations" not in seen.rules.enforced:
        evidence = "AccountingStorageEnforce has no associations"
        yield Finding("account", "ok", "Jobs need no account on this cluster.", evidence)
    elif not seen.accounts:
        yield Finding(
            "account",
            "problem",
            f"{seen.user} has no account on this cluster, so no job of yours is taken.",
            "AccountingStorageEnforce=associations; `scontrol show assoc_mgr` has no association of yours",
            f"Ask the administrators for one: sacctmgr add user {seen.user} account=…",
        )
    else:
        names = list_excerpt(list(dict.fromkeys(seen.accounts)), 5)
        yield Finding("account", "ok", f"Your accounts: {names}.", "`scontrol show assoc_mgr`")


def limits(seen: EntitlementEvidence) -> Iterator[Finding]:
    """Whether the job that the settings ask for is within the limits of partition, QOS and account."""
    for sentence in seen.refused:
        what, _, remedy = sentence.partition(". ")
        yield Finding(
            "limits", "problem", f"{what.rstrip('.')}.", f"asked for: {seen.asked}", remedy or "Ask for less."
        )
    if not seen.refused:
        what = "The job that your settings ask for is within the limits of partition, QOS and account."
        yield Finding("limits", "ok", what, f"asked for: {seen.asked}")


def arrays(rules: ClusterRules) -> Iterator[Finding]:
    """How large the array of a sweep may be; its index ends below MaxArraySize."""
    most, evidence = rules.max_array_size - 1, f"MaxArraySize={rules.max_array_size}"
    if most < 1:
        remedy = (
            "Ask the administrators for MaxArraySize=1001, the default; until then submit runs one by one, without -m."
        )
        yield Finding("arrays", "problem", "No sweep can be submitted: job arrays are off.", evidence, remedy)
    elif most < FEW_TASKS:
        remedy = "Ask the administrators for a larger MaxArraySize; 1001 is the default."
        what = f"A sweep of more than {most} runs becomes many jobs, each with a limit of its own for sweep.parallel."
        yield Finding("arrays", "warning", what, evidence, remedy)
    else:
        yield Finding("arrays", "ok", f"A sweep of up to {most} runs is one job array.", evidence)


def accounting(seen: EntitlementEvidence) -> Iterator[Finding]:
    """Whether it is known later how a job has ended."""
    rules, kind = seen.rules, f"AccountingStorageType={seen.rules.accounting or 'none'}"
    memory = f"MinJobAge={rules.min_job_age:g} s"
    if not rules.keeps_accounts:
        what = (
            f"Nothing is kept of jobs that have ended: after {rules.min_job_age:g} s it is not known how a run was "
            "stopped, unless it has written so itself."
        )
        if 0 < rules.min_job_age < SHORT_MEMORY:
            remedy = "Ask the administrators for slurmdbd, or for MinJobAge=300."
            yield Finding("accounting", "warning", what, f"{kind}, {memory}", remedy)
        else:
            yield Finding("accounting", "ok", what, f"{kind}, {memory}")
    elif not seen.database_answers:
        what = "slurmdbd does not answer: flags of QOS, default QOS and the ends of older jobs are not known."
        remedy = "Try `sacctmgr show cluster`, and tell the administrators if it fails."
        yield Finding("accounting", "warning", what, kind, remedy)
    else:
        yield Finding("accounting", "ok", "slurmdbd keeps how jobs have ended, and answers.", kind)


def privacy(rules: ClusterRules) -> Iterator[Finding]:
    """What users see of each other."""
    evidence = f"PrivateData={','.join(rules.private) or 'none'}"
    if "jobs" in rules.private:
        what = (
            "You see your own jobs only. So it cannot be told who holds what your jobs wait for, and the users of a "
            "node do not share Slurm's answers."
        )
        remedy = "Nothing is wrong with your runs. Administrators see all: ask them why a job waits long."
        yield Finding("PrivateData", "warning", what, evidence, remedy)
    else:
        yield Finding("PrivateData", "ok", "Jobs of other users can be seen.", evidence)
