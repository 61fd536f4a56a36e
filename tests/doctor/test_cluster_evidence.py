"""What squeue says of the user's jobs."""

from __future__ import annotations

from passingloop.doctor.cluster_evidence import read_not_requeued


def test_batch_jobs_that_slurm_may_not_requeue() -> None:
    """Interactive jobs, whose batch flag is 0, are never requeued, and nobody expects it."""
    assert read_not_requeued("12 1 1 \n13_[0-3] 1 0 \n14 0 0 \n15 1 0\n") == ("13_[0-3]", "15")
    assert read_not_requeued("") == ()
