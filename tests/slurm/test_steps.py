"""srun's command line."""

from __future__ import annotations

from passingloop.slurm.steps import Step, srun_command


def test_a_step_over_two_nodes() -> None:
    step = Step(job_id="12", nodes=("n1", "n2"), tasks=4, cpus=3, gpus=4, wait=30.0)
    assert srun_command(step)[:8] == [
        "srun", "--jobid=12", "--nodes=2", "--nodelist=n1,n2", "--ntasks=8", "--ntasks-per-node=4",
        "--cpus-per-task=3", "--gres=gpu:4",
    ]  # fmt: skip
    assert srun_command(step)[-1] == "--wait=30"


def test_a_step_without_gpus_asks_for_none() -> None:
    step = Step(job_id="12", nodes=("n1",), tasks=1, cpus=1, gpus=0, wait=30.0)
    assert not any(option.startswith("--gres") for option in srun_command(step))
