"""What a job knows of itself when it is decided whether it continues."""

from __future__ import annotations

from passingloop.attempts.continuation import node_memory


def test_the_memory_that_a_job_has() -> None:
    assert node_memory({"SLURM_MEM_PER_NODE": "4000"}) == "4000M"
    assert node_memory({"SLURM_MEM_PER_CPU": "1000", "SLURM_CPUS_ON_NODE": "4"}) == "4000M"
    assert node_memory({}) is None
