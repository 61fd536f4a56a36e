"""Whether and where a run continues after the end of an attempt: decided, written into the ledger, and said."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

from passingloop.attempts.announcement import announce_end
from passingloop.attempts.decision import Circumstances, decide, excluded_nodes
from passingloop.attempts.ending import write_missing_end
from passingloop.config.settings import RunConfig
from passingloop.launch.place import Place
from passingloop.rundir import ledger
from passingloop.rundir.directory import RunDir
from passingloop.rundir.events import Decision
from passingloop.slurm import notation
from passingloop.text import say

IN_WORDS = {
    "again": "It starts again here.",
    "requeue": "The job goes back into the queue.",
    "resubmit": "A new job is submitted.",
    "stop": "It is not taken up again.",
}


def decide_continuation(
    run: RunDir, config: RunConfig, place: Place, failed: Sequence[str] = (), *, started: bool = True
) -> Decision | None:
    """Decide what follows from the newest end, and write it; None where a person is to decide.

    Args:
        failed: nodes of that attempt that have failed.
        started: whether processes of it could be started.
    """
    now = Circumstances(
        submitted=place.submission is not None,
        saved=run.saved_step,
        nodes=place.nodes,
        failed=failed,
        started=started,
        pinned=_requested_nodes(config),
        mem=config.resources.mem or node_memory(os.environ),
    )
    decision = decide(ledger.read(run), config.retry, now)
    if decision:
        write_decision(run, decision)
    return decision


def write_decision(run: RunDir, decision: Decision) -> None:
    """Append the decision to the ledger and print it."""
    ledger.append(run, decision)
    say(f"{decision.reason} {IN_WORDS[decision.action]}")


def is_start_allowed(run: RunDir, config: RunConfig, place: Place) -> bool:
    """Whether an attempt may start in the job that we are in; if not, the newest decision says why.

    Slurm starts a job again after a preemption without a grace time, or when a node has failed.
    """
    loss = write_missing_end(run, place.job_id)
    decision = decide_continuation(run, config, place, loss.failed) if loss else None
    if loss:
        announce_end(run, config)
    if decision and decision.action in ("stop", "resubmit"):
        return False
    return not _runs_on_excluded_node(run, config, place)


def _runs_on_excluded_node(run: RunDir, config: RunConfig, place: Place) -> bool:
    """Whether a node of ours has failed under this run before, which is then a decision to go elsewhere."""
    past = ledger.read(run)
    decisions = past.events_of(Decision)
    nodes = [node for node in excluded_nodes(past) if node not in _requested_nodes(config)]
    failed_here = sorted(set(nodes) & set(place.nodes))
    if not failed_here or decisions[-1].action == "again":
        return False
    reason = f"Slurm has chosen {', '.join(failed_here)} again, which failed under this run before."
    write_decision(run, Decision(attempt=decisions[-1].attempt, action="resubmit", reason=reason, exclude=nodes))
    return True


def node_memory(environ: Mapping[str, str]) -> str | None:
    """Host memory per node that the job around us has, from sbatch(1), OUTPUT ENVIRONMENT VARIABLES; in megabytes."""
    if "SLURM_MEM_PER_NODE" in environ:
        return f"{environ['SLURM_MEM_PER_NODE']}M"
    if "SLURM_MEM_PER_CPU" in environ and "SLURM_CPUS_ON_NODE" in environ:
        return f"{int(environ['SLURM_MEM_PER_CPU']) * int(environ['SLURM_CPUS_ON_NODE'])}M"
    return None


def _requested_nodes(config: RunConfig) -> list[str]:
    """The nodes that the settings ask for by name."""
    return notation.node_names(str(config.cluster.extra.get("nodelist", "")))
