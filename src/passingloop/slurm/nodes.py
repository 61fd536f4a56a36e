"""Where a node is reached."""

from __future__ import annotations

import re

from passingloop.errors import PassingloopError
from passingloop.slurm.command import ask


def address(name: str) -> str:
    """The address that Slurm itself uses for the node `name`; it may have another host name than its name here."""
    try:
        found = re.search(r"NodeAddr=(\S+)", ask("scontrol", "show", "node", name, "-o"))
    except PassingloopError:  # some sites have no scontrol on their nodes; the name is usually right
        return name
    return found[1] if found else name
