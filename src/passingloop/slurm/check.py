"""Whether a cluster would run what is to be submitted to it."""

from __future__ import annotations

from collections.abc import Mapping

from passingloop.slurm.database import informed
from passingloop.slurm.facts import Facts
from passingloop.slurm.job_request import Request
from passingloop.slurm.limits import is_doubtful, problems


def check(counts: Mapping[Request, int], known: Facts) -> list[str]:
    """Why so many jobs of each request would not run; a sentence each. Asks slurmdbd where that decides."""
    if any(is_doubtful(request, known, count) for request, count in counts.items()):
        known = informed(known)
    found = [problem for request, count in counts.items() for problem in problems(request, known, count)]
    return list(dict.fromkeys(found))
