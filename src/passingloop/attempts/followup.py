"""What follows from the end of an attempt: decided, written into the ledger, and said."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

from passingloop.attempts.decision import Circumstances, decide
from passingloop.attempts.orphan import close_left_open
from passingloop.attempts.series import avoided
from passingloop.config.settings import RunConfig
from passingloop.launch.place import Place
from passingloop.rundir import ledger
from passingloop.rundir.layout import RunDir
from passingloop.rundir.ledger import Decision
from passingloop.slurm import notation
from passingloop.text import say

IN_WORDS = {
    "again": "It starts again here.",
    "requeue": "The job goes back into the queue.",
    "resubmit": "A new job is submitted.",
    "stop": "It is not taken up again.",
}


def follow(run: RunDir, config: RunConfig, place: Place, failed: Sequence[str] = ()) -> Decision | None:
    """Decide what follows from the newest end; None if that is not for us to decide.

    Args:
        failed: nodes of that attempt that have failed.
    """
    now = Circumstances(
        submitted=place.submission is not None,
        saved=run.saved_step,
        nodes=place.nodes,
        failed=failed,
        pinned=_pinned(config),
        mem=config.resources.mem or memory(os.environ),
    )
    decision = decide(ledger.lines(run), config.retry, now)
    if decision:
        write(run, decision)
    return decision


def write(run: RunDir, decision: Decision) -> None:
    """Write a decision down, and say it."""
    ledger.append(run, decision)
    say(f"{decision.reason} {IN_WORDS[decision.action]}")


def may_begin(run: RunDir, config: RunConfig, place: Place) -> bool:
    """Whether the attempt may begin here that a job was started for; if not, then the newest decision says why.

    Slurm starts a job again after a preemption without a grace time, or when a node has failed.
    """
    left = close_left_open(run, place.job_id)
    decision = follow(run, config, place, left.failed) if left else None
    if decision and decision.action in ("stop", "resubmit"):
        return False
    return not _is_avoided(run, config, place)


def _is_avoided(run: RunDir, config: RunConfig, place: Place) -> bool:
    """Whether a node of ours has failed under this run before, which is then a decision to go elsewhere."""
    lines = ledger.lines(run)
    decisions = [line for line in lines if line["event"] == "decision"]
    nodes = [node for node in avoided(lines) if node not in _pinned(config)]
    bad = sorted(set(nodes) & set(place.nodes))
    if not bad or decisions[-1]["action"] == "again":
        return False
    reason = f"Slurm has chosen {', '.join(bad)} again, which failed under this run before."
    write(run, Decision(attempt=decisions[-1]["attempt"], action="resubmit", reason=reason, exclude=nodes))
    return True


def memory(environ: Mapping[str, str]) -> str | None:
    """Host memory per node that the job around us has, from sbatch(1), OUTPUT ENVIRONMENT VARIABLES; in megabytes."""
    if "SLURM_MEM_PER_NODE" in environ:
        return f"{environ['SLURM_MEM_PER_NODE']}M"
    if "SLURM_MEM_PER_CPU" in environ and "SLURM_CPUS_ON_NODE" in environ:
        return f"{int(environ['SLURM_MEM_PER_CPU']) * int(environ['SLURM_CPUS_ON_NODE'])}M"
    return None


def _pinned(config: RunConfig) -> list[str]:
    """The nodes that the settings ask for by name."""
    return notation.expand(str(config.cluster.extra.get("nodelist", "")))
