"""What is said about jobs that a verb changes."""

from __future__ import annotations

from passingloop.cli.job_changes import jobs_text


def test_a_job_with_several_runs_is_named_once() -> None:
    assert jobs_text(["214", "214"]) == "Slurm job 214"
    assert jobs_text(["214", "214", "211_0", "7", "8"]) == "Slurm jobs 214, 211_0, 7 and 1 more"
