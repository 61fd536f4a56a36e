"""What a replay needs of a private Slurm cluster; scripts/slurm-policy brings one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True, kw_only=True, slots=True)
class Node:
    """One node of a cluster."""

    gpus: int
    cpus: int


class Clock(Protocol):
    """The time of a cluster's processes."""

    def now(self) -> float:
        """Seconds since 1970."""
        ...

    def limit(self, fastest: float) -> None:
        """No rate will be above this one."""
        ...

    def go(self, rate: float, until: float | None = None, after: float = 1.0) -> None:
        """Let the time go `rate` times as fast as the machine's, from `until` on `after` times."""
        ...


class PrivateCluster(Protocol):
    """A cluster that runs."""

    @property
    def place(self) -> Path:
        """Its folder, which goes with it."""
        ...

    @property
    def clock(self) -> Clock: ...

    @property
    def variables(self) -> Mapping[str, str]:
        """The environment of commands that talk to it."""
        ...

    @property
    def job_variables(self) -> Mapping[str, str]:
        """The environment of programs in its jobs that follow its clock."""
        ...

    @property
    def log(self) -> Path:
        """Where slurmctld writes what it does."""
        ...

    @property
    def user_ids(self) -> Mapping[str, int]: ...

    @property
    def group_id(self) -> int: ...


class ClusterMaker(Protocol):
    """Starts a cluster, and leaves nothing of it behind."""

    def __call__(
        self,
        *,
        name: str,
        nodes: Sequence[Node],
        settings: Mapping[str, str],
        partitions: Sequence[str],
        users: Sequence[str],
        release: str | None,
    ) -> AbstractContextManager[PrivateCluster]:
        """A cluster with nodes ``n1``, ``n2``, …; `settings` and `partitions` are lines of slurm.conf.

        Args:
            release: of Slurm, such as 24.11; None for the installed one.
        """
        ...
