"""Where a node is reached, and whether it has failed."""

from __future__ import annotations

import re
from collections.abc import Sequence

from passingloop.errors import PassingloopError
from passingloop.slurm.command import ask
from passingloop.slurm.oneliner import value
from passingloop.slurm.times import moment

BROKEN = re.compile(r"DOWN|FAIL|DRAIN|NOT_RESPONDING|\*")
"""In the state of a node that has failed; the star is that of one which does not respond."""


def address(name: str) -> str:
    """The address that Slurm itself uses for the node `name`; it may have another host name than its name here."""
    try:
        found = re.search(r"NodeAddr=(\S+)", ask("scontrol", "show", "node", name, "-o"))
    except PassingloopError:  # some sites have no scontrol on their nodes; the name is usually right
        return name
    return found[1] if found else name


def failed(names: Sequence[str], since: float) -> list[str] | None:
    """Which of the nodes have failed since that time, in seconds since the epoch; None if Slurm does not tell.

    A node that is back says since when its slurmd has been running.
    """
    try:
        text = ask("scontrol", "--oneliner", "show", "node", ",".join(names), timeout=10.0)
    except PassingloopError:
        return None
    return [value(line, "NodeName") for line in text.splitlines() if line.strip() and _has_failed(line, since)]


def _has_failed(line: str, since: float) -> bool:
    return bool(BROKEN.search(value(line, "State"))) or (moment(value(line, "SlurmdStartTime")) or 0.0) > since
