"""Where a replay stands."""

from __future__ import annotations

from dataclasses import dataclass, field

from passingloop.simulation.replay.launches import Launches
from passingloop.simulation.replay.replay_records import Stop


@dataclass(kw_only=True)
class Progress:
    """What is known of its jobs, and what is to be done."""

    due: list[tuple[float, int, str]]
    """A heap of what will be done: when, the job's number, and what."""
    ends: list[tuple[float, int]] = field(default_factory=list)
    """A heap of when a job will end or will have saved."""
    ids: dict[int, int] = field(default_factory=dict)
    """Slurm's id of each job."""
    begins: dict[int, list[float]] = field(default_factory=dict)
    """When the script of each job that started began, each time, in seconds of the trace."""
    waiting: set[int] = field(default_factory=set)
    """Those that are in the queue, also again."""
    ended: set[int] = field(default_factory=set)
    """Those that computed to their end, were cancelled, or refused."""
    complete: set[int] = field(default_factory=set)
    """Those that computed to their end."""
    stops: dict[tuple[int, int], Stop] = field(default_factory=dict)
    launches: Launches = field(default_factory=Launches)
    refused: dict[int, str] = field(default_factory=dict)
    tried_again: set[int] = field(default_factory=set)
