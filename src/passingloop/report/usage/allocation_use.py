"""What a job held, and what it was used for."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

Use = Literal["training", "starting", "saving", "lost_to_preemption", "lost_to_failure", "holding", "unexplained"]
"""What the time of an allocation went into.

- `training`: steps and evaluations that were kept.
- `starting`: from the start of a process to its first step.
- `saving`: training held up by a checkpoint or the export.
- `lost_to_preemption`, `lost_to_failure`: steps that no checkpoint contains, by the cause of the attempt's end. A time
  limit and a user's own interruption count as preemption: the run was stopped, it did not fail.
- `holding`: the job had its GPUs and waited, for a step, for a lock, or between two attempts.
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
class AttemptUse:
    """What one attempt used of an allocation, within the period of the report."""

    run: str
    """``name/signature``."""
    attempt: int
    seconds: dict[Use, float] = field(default_factory=dict)
    """Wall-clock seconds by use. `unexplained` is never one of them."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Allocation:
    """One period in which a job held resources: from its start to its end or its next requeue.

    Times are in seconds since the epoch, and are cut at the edges of the report's period, `submitted` and `eligible`
    excepted. A run in a shell without Slurm is an allocation as well, with `job_id` None.
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
    gpus: float = 0.0
    """On all nodes together. A MIG device or some shards of a GPU are the part of it that they are."""
    gpu_type: str | None = None
    cpus: int = 0
    """On all nodes together, as `memory`."""
    memory: int | None = None
    """Bytes that were asked for."""
    submitted: float | None = None
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
    """Whether the same job, or a job that the run submitted for itself, continued afterwards."""
    is_first_part: bool = True
    """False if the allocation began before the report's period, so that its wait belongs to an earlier one."""
    attempts: tuple[AttemptUse, ...] = ()
    """Several if runs were packed onto one GPU, or one was started again within the allocation."""
    uses: dict[Use, float] = field(default_factory=dict)
    """Wall-clock seconds by use, `unexplained` included; they add up to `seconds`. Of packed runs the mean."""

    @property
    def seconds(self) -> float:
        return self.ended - self.started

    @property
    def gpu_hours(self) -> float:
        return self.gpus * self.seconds / 3600

    @property
    def wait(self) -> float | None:
        """Seconds from being eligible to the start; None if that is unknown or lies in another period."""
        since = self.eligible or self.submitted
        return max(0.0, self.started - since) if since is not None and self.is_first_part else None
