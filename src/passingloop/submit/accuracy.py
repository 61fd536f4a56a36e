"""How far off Slurm's estimates of starts were: by how much the starts of earlier jobs came later. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from passingloop.figures import percentile
from passingloop.slurm.notation import duration_text

FEWEST = 5
"""Starts from which on something is said about them."""


@dataclass(frozen=True, slots=True)
class Accuracy:
    """Seconds by which jobs started later than expected; negative for earlier."""

    count: int
    median: float = 0.0
    ninetieth: float = 0.0
    """Nine of ten starts came no later than this."""

    @classmethod
    def of(cls, errors: Sequence[float]) -> Accuracy:
        """From the actual start minus the estimated one of each job."""
        if not errors:
            return cls(0)
        return cls(len(errors), percentile(errors, 0.5), percentile(errors, 0.9))

    @property
    def sentence(self) -> str:
        """For people."""
        if self.count < FEWEST:
            return (
                f"How far off Slurm's estimates are here is not known yet: that takes {FEWEST} starts of your jobs, "
                f"and there is a record of {self.count}."
            )
        return (
            f"Of your last {self.count} jobs here, half started {_later(self.median)} than Slurm had estimated, or "
            f"before that; nine of ten {_later(self.ninetieth)}, or before that."
        )


def _later(error: float) -> str:
    return f"{duration_text(abs(error))} {'later' if error >= 0 else 'earlier'}"
