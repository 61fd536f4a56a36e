"""The places of several jobs in the queue at once."""

from __future__ import annotations

from passingloop.pending.rank import places
from tests.pending.situation import JOB, running, waiting


def test_places_of_jobs_in_line() -> None:
    first = waiting("101", "bob", 900)
    tasks = waiting("102", "bob", 800, job_id="102_[0-9]")
    held = waiting("103", "bob", 950, reason="JobHeldUser")
    elsewhere = waiting("104", "bob", 990, partitions=("short",))
    both = waiting("105", "bob", 500, partitions=("main", "short"))
    jobs = [JOB, first, tasks, held, elsewhere, both, running("7", "eve", "n1", 1.0)]
    assert places(jobs, [JOB, tasks, held, elsewhere, both]) == {
        "100": (12, 13),
        "102": (2, 13),
        "104": (1, 2),
        "105": (14, 14),
    }
    assert places(jobs, []) == {}
