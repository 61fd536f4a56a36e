"""What a job asks Slurm for."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Request:
    """The options of one submission. None leaves the choice to Slurm."""

    name: str
    nodes: int
    gpus: int
    """Per node."""
    tasks: int
    """Processes per node."""
    cpus: int | None
    """Per process."""
    mem: str | None
    """Per node, as ``16G``."""
    time: str | None
    """In Slurm's notation, as ``4:00:00``."""
    partition: str | None
    """One, or several with commas."""
    account: str | None
    qos: str | None
    extra: tuple[tuple[str, str | int | bool], ...]
    """Further options by their long names, with their values; true for one without a value."""
