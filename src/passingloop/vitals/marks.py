"""Marks that a training process passes on its way, by which it is known that it goes forward, and where it stands.

They are counted for the whole process, because what passes them is in many places: the loop, the evaluation, whoever
waits for somebody else's data. To pass one costs less than a microsecond.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Evidence = Literal["marks", "bytes", "work"]
"""What shows that a process goes forward. `marks`: nothing but the marks that it passes, as processes that wait for
each other in NCCL keep a CPU and a GPU busy. `bytes`: also that it reads or writes. `work`: also that it uses a CPU."""


@dataclass(slots=True)
class Marks:
    """How far this process is."""

    doing: str = "starting"
    """What it does, such as ``saving`` or ``in the forward pass``."""
    evidence: Evidence = "work"
    step: int = 0
    """The optimizer step that it works on, from 1; 0 before the first."""
    place: int = 0
    """How many marks it has passed that all processes of the attempt pass in the same order: who has passed fewer
    stands behind."""
    signs: int = 0
    """How many marks it has passed, and signs of life it has given."""

    def enter(self, doing: str, evidence: Evidence, step: int | None = None) -> None:
        """Pass a mark that all processes pass: from here on the process is `doing` something else."""
        self.doing, self.evidence = doing, evidence
        self.step = self.step if step is None else step
        self.place += 1
        self.signs += 1

    def sign(self) -> None:
        """Something went forward within what the process is doing."""
        self.signs += 1


MARKS = Marks()
"""Those of this process."""
