"""Whether a run that is preempted can save, and is started again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from passingloop.doctor.finding import Finding, Level
from passingloop.slurm.rules.cluster_rules import ClusterRules
from passingloop.slurm.rules.preemption_rules import Preemptable
from passingloop.text import list_excerpt

SHORT_EXPIRY = 5.0
"""Seconds of cred_expire below which a node under load reads credentials too late."""

LONG_EXPIRY = 300.0
"""Seconds of cred_expire above which a requeued job waits long for nothing."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SaveMeasure:
    """How long one of the user's runs took to save when it was asked to stop."""

    run: str
    """Its directory."""
    at_most: float
    """Seconds: all that its attempt has waited for checkpoints."""
    at_least: float
    """Seconds from the first to the last file of its newest checkpoint."""
    bytes: int
    """Of that checkpoint."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PreemptionEvidence:
    """What is known of preemption on the cluster, and of the user's runs."""

    rules: ClusterRules
    places: Mapping[str, Preemptable] | None
    """The QOS or partitions that may be preempted, by name; None if slurmdbd did not show them."""
    used: Sequence[str]
    """The QOS or partitions that the run may get, by its settings or as a default; of those with a grace time it is
    said what would go wrong."""
    allowed: Sequence[str] = ()
    """The others that the user may choose."""
    save: SaveMeasure | None = None
    """The slowest."""
    not_requeued: Sequence[str] = ()
    """The user's batch jobs in the queue that Slurm may not requeue."""

    @property
    def kind(self) -> str:
        return "partition" if self.rules.preempt_type == "preempt/partition_prio" else "QOS"

    def preemptable(self, names: Sequence[str]) -> list[Preemptable]:
        return [self.places[name] for name in names if name in self.places] if self.places else []


def preemption_findings(seen: PreemptionEvidence) -> Iterator[Finding]:
    """All findings about preemption."""
    yield from preemption(seen)
    yield from requeueing(seen)
    yield from credentials(seen.rules)


def preemption(seen: PreemptionEvidence) -> Iterator[Finding]:
    """How the jobs of the user are preempted, and whether a save fits into the time they get."""
    evidence = f"PreemptType={seen.rules.preempt_type or 'preempt/none'}"
    if not seen.rules.preempts:
        yield Finding("preemption", "ok", "Running jobs are not preempted on this cluster.", evidence)
        return
    if seen.places is None:
        yield Finding(
            "preemption",
            "unknown",
            "It is not known which QOS are preempted, and with how much grace: slurmdbd did not answer.",
            f"{evidence}; `sacctmgr show qos` failed",
            "Ask the administrators for GraceTime and Preempt of your QOS.",
        )
        return
    used, others = seen.preemptable(seen.used), seen.preemptable(seen.allowed)
    if not used and not others:
        names = list_excerpt([*seen.used, *seen.allowed], 6) or "any"
        yield Finding(
            "preemption", "ok", f"No job of yours is preempted: no {seen.kind} that you may use is.", f"yours: {names}"
        )
    for place, is_used in [*((place, True) for place in used), *((place, False) for place in others)]:
        yield _mode_finding(seen, place, is_used=is_used)
        yield _grace_finding(seen, place, is_used=is_used)


def _mode_finding(seen: PreemptionEvidence, place: Preemptable, *, is_used: bool) -> Finding:
    by = f" by {', '.join(place.by)}" if place.by else ""
    evidence = f"{seen.kind} {place.name}: preempted{by}, mode {place.mode}, GraceTime {place.grace:g} s"
    if place.mode == "REQUEUE":
        return Finding("preempt mode", "ok", f"What {place.name} runs is requeued when it is preempted.", evidence)
    if place.mode == "SUSPEND":
        return Finding(
            "preempt mode",
            "problem" if is_used else "warning",
            f"What {place.name} runs is stopped where it stands when it is preempted, without a save, and keeps its "
            "GPU memory, so that the job that preempts it may find none.",
            evidence,
            f"Ask the administrators for PreemptMode=REQUEUE for {seen.kind} {place.name}, or use another.",
        )
    return Finding(
        "preempt mode",
        "warning",
        f"What {place.name} runs is cancelled when it is preempted. A run saves and requeues itself, if the grace time "
        "is long enough; a script of your own is lost.",
        evidence,
        f"Ask the administrators for PreemptMode=REQUEUE for {seen.kind} {place.name}.",
    )


def _grace_finding(seen: PreemptionEvidence, place: Preemptable, *, is_used: bool) -> Finding:
    """A save against the time from the first signal to SIGKILL: the grace time, but KillWait at least (measured on
    22.05)."""
    given = max(place.grace, seen.rules.kill_wait)
    evidence = f"{seen.kind} {place.name}: GraceTime {place.grace:g} s, KillWait {seen.rules.kill_wait:g} s"
    remedy = (
        f"Ask the administrators for a GraceTime of {seen.kind} {place.name} that fits the save, or set "
        "checkpoint.every_minutes to what you can afford to lose."
    )
    if seen.save is None:
        if place.grace == 0:
            what = (
                f"Jobs of {place.name} get no grace: a run has {given:g} s to save, and none of yours has measured yet "
                "whether it needs more."
            )
            return Finding("grace", "warning", what, evidence, remedy)
        what = (
            f"A preempted run has {given:g} s to save; none of yours has been stopped yet to measure how long it takes."
        )
        return Finding("grace", "unknown", what, evidence, "`passingloop drill` interrupts a short run on purpose.")
    save = seen.save
    took = f"{save.run}: a stop took {save.at_most:.1f} s to save at most, its newest checkpoint {save.at_least:.1f} s"
    level: Level = "ok"
    if save.at_least > given:
        level = "problem" if is_used else "warning"
        what = (
            f"Your saves take longer than a preempted job of {place.name} lives: {given:g} s. The last one is cut off."
        )
    elif save.at_most > given / 2:
        level = "warning"
        what = f"Your saves may take more than half of the {given:g} s that a preempted job of {place.name} lives."
    else:
        what = f"A save fits into the {given:g} s that a preempted job of {place.name} lives."
    return Finding("grace", level, what, f"{evidence}; {took}", remedy if level != "ok" else "")


def requeueing(seen: PreemptionEvidence) -> Iterator[Finding]:
    """Whether Slurm may put the jobs of the user back into the queue."""
    if seen.not_requeued and seen.rules.preempts:
        jobs = list_excerpt(seen.not_requeued, 5)
        yield Finding(
            "requeue",
            "problem",
            f"Slurm may not requeue these jobs of yours, so they are lost when they are preempted: {jobs}.",
            "squeue shows Requeue=0",
            f"scontrol update jobid={seen.not_requeued[0]} requeue=1, and submit with --requeue.",
        )
    evidence = f"JobRequeue={int(seen.rules.job_requeue)}"
    if seen.rules.job_requeue:
        yield Finding("requeue", "ok", "Jobs may be requeued.", evidence)
    else:
        yield Finding(
            "requeue",
            "warning",
            "Only a job that asks for it is requeued after a preemption or a failure of its node. The runs that you "
            "submit here ask; scripts of your own do not.",
            evidence,
            "Put `#SBATCH --requeue` into your own scripts.",
        )


def credentials(rules: ClusterRules) -> Iterator[Finding]:
    """How long the credentials of jobs are valid: a requeued job waits as long."""
    evidence = f"AuthInfo: cred_expire={rules.cred_expire:g} s"
    remedy = "Ask the administrators for AuthInfo=cred_expire=30 in slurm.conf."
    if rules.cred_expire < SHORT_EXPIRY:
        what = "Credentials of jobs expire so soon that a node under load may refuse to start them."
        yield Finding("cred_expire", "warning", what, evidence, remedy)
    elif rules.cred_expire > LONG_EXPIRY:
        what = f"A requeued run waits {rules.cred_expire:g} s before it can start again, even where nodes are free."
        yield Finding("cred_expire", "warning", what, evidence, remedy)
    else:
        what = f"A requeued run can start again after {rules.cred_expire:g} s."
        yield Finding("cred_expire", "ok", what, evidence)
