"""The environment of Slurm's commands."""

from __future__ import annotations

import pytest

from passingloop.slurm.command import inherited_variables, own_job_id


@pytest.mark.parametrize(
    ("environ", "gone"),
    [
        ({"SLURM_JOB_ID": "1", "SLURM_CPU_BIND": "x", "SBATCH_PARTITION": "p", "SRUN_CPUS_PER_TASK": "3"}, "all"),
        ({"SLURM_CONF": "/etc/slurm.conf", "PATH": "/bin", "SLURMISH": "1", "WANDB_API_KEY": "k"}, "none"),
    ],
)
def test_what_belongs_to_another_allocation_goes(environ: dict[str, str], gone: str) -> None:
    assert inherited_variables(environ) == (list(environ) if gone == "all" else [])


def test_a_job_is_known_by_its_name() -> None:
    assert own_job_id({}) is None
    assert own_job_id({"SLURM_JOB_ID": "17"}) == "17"
    assert own_job_id({"SLURM_JOB_ID": "17", "SLURM_ARRAY_JOB_ID": "16", "SLURM_ARRAY_TASK_ID": "1"}) == "16_1"
