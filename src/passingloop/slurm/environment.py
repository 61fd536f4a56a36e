"""Which environment variables would mislead Slurm's commands."""

from __future__ import annotations

from collections.abc import Mapping

PREFIXES = ("SLURM_", "SLURMD_", "SBATCH_", "SRUN_", "SALLOC_", "SQUEUE_", "SINFO_", "SACCT_", "SCANCEL_")

KEPT = ("SLURM_CONF", "SLURM_CONF_SERVER", "SLURM_CLUSTERS", "SLURM_JWT")
"""By these a site or a person says which cluster is meant, and how to be let in; no job sets them for itself.

SLURM_UMASK is not among them: sbatch prefers one that it finds to the umask that it runs under.
"""


def foreign(environ: Mapping[str, str]) -> list[str]:
    """The names to remove before a Slurm command is called.

    Inside an allocation they describe that one, and sbatch and srun take them for their options: an inherited
    SLURM_CPU_BIND, for one, puts all processes on the same CPU. SBATCH_PARTITION and its like go too: they override
    what a batch script says, and what a person wants is said in `cluster`.
    """
    return [name for name in environ if name.startswith(PREFIXES) and name not in KEPT]


def own_job(environ: Mapping[str, str]) -> str | None:
    """The job that this process is part of, for a task of an array as ``12_3``; None outside of jobs.

    The task that keeps the array's own number in SLURM_JOB_ID can only be asked for by this name: the number alone
    means all tasks.
    """
    if "SLURM_ARRAY_TASK_ID" in environ:
        return f"{environ['SLURM_ARRAY_JOB_ID']}_{environ['SLURM_ARRAY_TASK_ID']}"
    return environ.get("SLURM_JOB_ID")


def restarts(environ: Mapping[str, str]) -> int:
    """How often Slurm had requeued the job when it started this batch script."""
    return int(environ.get("SLURM_RESTART_COUNT", "0"))
