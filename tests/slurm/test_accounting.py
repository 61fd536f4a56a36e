"""What sacct prints, read: texts of 22.05 that a quiet cluster would not print."""

from __future__ import annotations

from passingloop.slurm import accounting
from passingloop.slurm.accounting import read_run_periods
from passingloop.slurm.notation import timestamp

ENDED = """12_0|COMPLETED|0:0|2026-11-21T09:15:15
12_1|CANCELLED by 1000|0:15|2026-11-21T09:15:15
12_[2,5-9:2%1]|CANCELLED by 0|0:0|2026-11-21T09:15:15
13|RUNNING|0:0|Unknown
14|OUT_OF_MEMORY|0:125|Unknown
15|SOMETHING_NEW|0:0|Unknown
"""


def test_ends_are_read_task_by_task() -> None:
    jobs = {job.job_id: job for job in accounting.read_job_ends(ENDED)}
    assert {name: job.state for name, job in jobs.items()} == {
        "12_0": "COMPLETED", "12_1": "CANCELLED", "12_2": "CANCELLED", "12_5": "CANCELLED", "12_7": "CANCELLED",
        "12_9": "CANCELLED", "14": "OUT_OF_MEMORY",
    }  # fmt: skip
    assert jobs["12_0"].time == timestamp("2026-11-21T09:15:15")
    assert jobs["14"].time is None


def test_the_stays_of_a_job_that_was_requeued() -> None:
    said = "PREEMPTED|2026-11-21T11:51:45|2026-11-21T11:51:50\nCANCELLED by 0|2026-11-21T11:52:10|Unknown\n"
    first, second = read_run_periods(said + "PENDING|Unknown|Unknown\n")
    assert (first.state, first.ended) == ("PREEMPTED", timestamp("2026-11-21T11:51:50"))
    assert (second.state, second.ended) == ("CANCELLED", None)
