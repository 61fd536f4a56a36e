"""What a job held, and what it was used for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Use = Literal["training", "starting", "saving", "lost_to_preemption", "lost_to_failure", "holding", "unexplained"]
"""What the time of an allocation went into.

- `training`: steps and evaluations that were kept; and of an attempt that runs, what it has not told of yet.
- `starting`: from the start of the job to the first step, and the end of an attempt's processes.
- `saving`: training held up by a checkpoint or the export.
- `lost_to_preemption`, `lost_to_failure`: steps that no checkpoint contains, by the cause of the attempt's end; and of
  an attempt that failed the time from its last step to its end. A time limit and a user's own interruption count as
  preemption: the run was stopped, it did not fail.
- `holding`: the job had its GPUs and waited, for a step, for a lock, or after an attempt had ended.
- `unexplained`: no run directory says what it was used for.
"""

USES: tuple[Use, ...] = (
    "training",
    "starting",
    "saving",
    "lost_to_preemption",
    "lost_to_failure",
    "holding",
    "unexplained",
)

OVERHEAD: tuple[Use, ...] = ("starting", "saving", "lost_to_preemption", "lost_to_failure", "holding")
"""Uses that bring a run no nearer to its end."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RunPart:
    """The part of an allocation that a run had; the parts of all its runs add up to the whole allocation.

    Runs that are packed onto one GPU share it by the time that their attempts took.
    """

    run: str
    """``name/signature``."""
    experiment: str
    seconds: Mapping[Use, float]
    """Wall-clock seconds by use."""
    sampled: float = 0.0
    """Seconds that samples cover."""
    busy: float | None = None
    """The share of these in which its GPUs were busy; None if no GPU was sampled."""
    power: float | None = None
    """Watts of a GPU, on average."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Allocation:
    """One period in which a job held resources: from its start to its end or its next requeue.

    Times are in seconds since the epoch. `started` and `ended` are cut at the edges of the report's period. A run in a
    shell without Slurm is an allocation as well, with `job_id` None.
    """

    job_id: str | None
    """``12``, or ``12_3`` for a task of an array."""
    name: str
    """The job's name; of a run in a shell the name of the run."""
    user: str
    account: str | None = None
    qos: str | None = None
    partition: str | None = None
    nodes: tuple[str, ...] = ()
    gpus: float | None = 0.0
    """On all nodes together. A MIG device or some shards of a GPU are the part of it that they are; None if it is not
    known which part."""
    gpu_type: str | None = None
    cpus: int | None = None
    """On all nodes together, as `memory`."""
    memory: int | None = None
    """Bytes that were asked for."""
    eligible: float | None = None
    """When nothing but its turn held the job back: dependencies and begin times are over."""
    started: float
    ended: float
    is_running: bool = False
    """Whether it was at `ended`, which is then the time of the report."""
    time_limit: float | None = None
    """Seconds."""
    state: str | None = None
    """In Slurm's words, from its accounting; of a requeued job perhaps that of an earlier period."""
    cause: str | None = None
    """Why it ended, as the ledger says; from Slurm's state for jobs that are no runs. None while it runs."""
    is_requeued: bool = False
    """Whether the same job, or one that its run submitted for itself, continued afterwards."""
    is_cut: bool = False
    """Whether the allocation began before the report's period, so that its wait belongs to an earlier one."""
    parts: tuple[RunPart, ...] = field(default=())
    """Empty if no run directory tells of it."""

    @property
    def seconds(self) -> float:
        return self.ended - self.started

    @property
    def gpu_hours(self) -> float:
        """0 if the number of GPUs is not known."""
        return (self.gpus or 0.0) * self.seconds / 3600

    @property
    def wait(self) -> float | None:
        """Seconds from being eligible to the start; None if that is unknown or lies in another period."""
        return None if self.eligible is None or self.is_cut else max(0.0, self.started - self.eligible)

    @property
    def uses(self) -> dict[Use, float]:
        """Seconds by use; they add up to `seconds`."""
        if not self.parts:
            return {"unexplained": self.seconds}
        uses: dict[Use, float] = dict.fromkeys(USES, 0.0)
        for part in self.parts:
            for use, seconds in part.seconds.items():
                uses[use] += seconds
        return uses
