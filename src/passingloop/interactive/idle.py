"""Whether an interactive session goes on, is warned, or ends: a pure decision over what its keeper has seen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from passingloop.vitals.idleness import LEAST_NOTICE, NEVER, IdleRule

START_PATIENCE = 600.0
"""Seconds for the first terminal to come, or for Jupyter to answer. A session whose user has gone while it waited in
the queue ends then. How long a session is idle counts only after this."""

LIMIT_NOTICE = 120
"""Seconds before the time limit at which the terminals are told; Slurm may do it up to 60 s earlier."""

Verdict = Literal["go on", "warn", "idle", "left", "unused"]
"""What is to be done: nothing, warn the terminals, or end the session for one of three reasons."""


@dataclass(frozen=True, kw_only=True, slots=True)
class IdleLimits:
    """Seconds without use after which a session is warned and ended."""

    warning: float
    """0: a session is neither warned nor ended for being idle."""
    end: float

    @property
    def rule(self) -> IdleRule:
        """As the rule for anything that is idle."""
        if not self.warning:
            return NEVER
        notice = min(max(self.end - self.warning, 0.0), LEAST_NOTICE) or LEAST_NOTICE
        return IdleRule(warnings=(self.warning,), end=self.end, notice=notice)


@dataclass(frozen=True, kw_only=True, slots=True)
class Standing:
    """How a session stands. Times are seconds of one clock that does not jump."""

    now: float
    began: float
    healthy: float | None
    """Since when it can be used: the first terminal has come, or Jupyter has answered; None before."""
    used: float
    """When GPU, CPU or keyboard were last in use."""
    warned: float | None
    """When it was warned; None if it was used since."""
    attached: int
    """Terminals, commands and ssh connections."""
    left: bool
    """Whether one of them was left on purpose, by `exit` or because its command is done, and not lost."""
    lasting: bool
    """Whether it stays when everybody has left."""


def verdict(standing: Standing, limits: IdleLimits) -> Verdict:
    """What the keeper is to do now."""
    now = standing.now
    if standing.left and not standing.attached and not standing.lasting:
        return "left"
    if standing.healthy is None:
        return "unused" if now - standing.began > START_PATIENCE else "go on"
    idle = now - max(standing.used, standing.healthy)
    warned = standing.warned is not None
    judgement = limits.rule.judge(idle, int(warned), now - (standing.warned or 0.0))
    return "idle" if judgement == "end" else judgement
