"""The result of a trial: a policy's replay, beside that of another one, as figures with a verdict. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from passingloop.policy.entities import Policy
from passingloop.report.simulation.policy_figures import SavingFigure, Simulation
from passingloop.report.usage.prices import Prices
from passingloop.simulation.replay_figures import replay_figures
from passingloop.simulation.trace_jobs import Replay
from passingloop.simulation.verdict import judgements

ACCEPTED, REFUSED = 0, 1
"""Exit codes."""


def trial(
    policy: Policy,
    replay: Replay,
    against: Replay | None = None,
    prices: Prices | None = None,
    saving: Sequence[SavingFigure] = (),
) -> Simulation:
    """What `policy` did with a trace, beside what another one did with it.

    The shares and the default QOS of `policy` hold for both: the question is what either does for what it intends.

    Args:
        saving: how the jobs of both replays saved and continued.
    """
    figures = replay_figures(replay, policy.accounts, prices)
    other = replay_figures(against, policy.accounts, prices) if against else None
    if other and other.policy == figures.policy:
        other = replace(other, policy=f"{other.policy} (against)")
    notes = (
        [f"{other.policy}: {one}" for one in against.left_out if one not in replay.left_out]
        if against and other
        else []
    )
    return Simulation(
        trace=replay.trace,
        saving=tuple(saving),
        left_out=(*replay.left_out, *notes),
        figures=figures,
        against=other,
        judgements=judgements(policy, figures, other),
    )


def verdict_code(simulation: Simulation) -> int:
    """For a repository's CI: whether the policy may go live."""
    return ACCEPTED if simulation.is_accepted else REFUSED
