"""A finding: what would go wrong, or is in order, by which evidence, and what to do."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

Level = Literal["ok", "unknown", "warning", "problem"]
"""A `problem` would go wrong, a `warning` may, or costs time; of what is `unknown` the evidence does not tell."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of what ``passingloop doctor`` says."""

    check: str
    """A word for what was looked at, such as ``grace``."""
    level: Level
    what: str
    """A sentence."""
    evidence: str
    """Where it was seen: settings, numbers, file names."""
    remedy: str = ""
    """What to do; only of problems and warnings, and of what is unknown."""


def exit_code_of(findings: Iterable[Finding]) -> int:
    """0, or 1 if something would go wrong."""
    return int(any(finding.level == "problem" for finding in findings))
