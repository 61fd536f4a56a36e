"""The Slurm allocation that this shell sits in: what salloc or ``srun --pty`` gave."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass

from passingloop.config.settings import RunConfig
from passingloop.errors import PassingloopError
from passingloop.plan import nodes_used
from passingloop.slurm import control, notation
from passingloop.slurm.command import own_job_id


@dataclass(frozen=True, kw_only=True, slots=True)
class Allocation:
    """What an interactive job has."""

    job_id: str
    name: str
    """The job's id as people know it: for a task of an array ``12_3``."""
    nodes: tuple[str, ...]
    cpus_here: int
    """Of the node we are on; of each node, where we are on none of them."""
    gpus: int
    """Per node; 1 if there are only parts of one."""
    shards: int = 0
    """Parts of a GPU (gres/shard), where the job has no whole one."""
    on_node: bool
    """Whether this process runs on the job's first node; not so in the shell that salloc opens on a login node."""

    @classmethod
    def current(cls) -> Allocation | None:
        """The one we sit in, if any."""
        name = own_job_id(os.environ)
        if name is None:
            return None
        try:
            job = control.job_fields(name)
        except PassingloopError:  # some sites have no scontrol on their nodes, or a container hides it
            if "SLURM_CPUS_ON_NODE" not in os.environ:
                raise
            job = _from_variables(os.environ)
        return cls.from_slurm(job, os.environ)

    @classmethod
    def from_slurm(cls, job: Mapping[str, str], environ: Mapping[str, str]) -> Allocation:
        """From what Slurm says of the job, in ``scontrol show job`` and in the variables of this process."""
        nodes = notation.node_names(job["NodeList"])
        allocated = job.get("AllocTRES", job.get("TRES", ""))
        gpus, shards = (re.search(rf"gres/{name}=(\d+)", allocated) for name in ("gpu", "shard"))
        on_node = "SLURMD_NODENAME" in environ
        share = int(job["NumCPUs"]) // len(nodes)
        return cls(
            job_id=job["JobId"],
            name=f"{job['ArrayJobId']}_{job['ArrayTaskId']}" if "ArrayTaskId" in job else job["JobId"],
            nodes=tuple(nodes),
            cpus_here=int(environ.get("SLURM_CPUS_ON_NODE", share)) if on_node else share,
            gpus=int(gpus[1]) // len(nodes) if gpus else int(shards is not None),
            shards=int(shards[1]) if shards else 0,
            on_node=on_node,
        )

    def needs_step(self, config: RunConfig) -> bool:
        """Whether the processes have to be started by srun, because some of them run on another machine."""
        return not self.on_node or self.nodes_used(config) > 1

    def nodes_used(self, config: RunConfig) -> int:
        """How many of the nodes the run uses: all of them, unless it asks for fewer."""
        return nodes_used(config, len(self.nodes))

    def __str__(self) -> str:
        few = ", ".join(self.nodes[:3]) + (" …" if len(self.nodes) > 3 else "")
        return f"Slurm job {self.name} on {few}"


def _from_variables(environ: Mapping[str, str]) -> dict[str, str]:
    """What scontrol would say, as far as a process on a node can tell; its nodes are taken to be alike."""
    nodes = int(environ["SLURM_JOB_NUM_NODES"])
    array = {"ArrayJobId": "SLURM_ARRAY_JOB_ID", "ArrayTaskId": "SLURM_ARRAY_TASK_ID"}
    return {
        "JobId": environ["SLURM_JOB_ID"],
        "NodeList": environ["SLURM_JOB_NODELIST"],
        "NumCPUs": str(int(environ["SLURM_CPUS_ON_NODE"]) * nodes),
        "AllocTRES": _allocated(environ, nodes),
        **{key: environ[variable] for key, variable in array.items() if variable in environ},
    }


def _allocated(environ: Mapping[str, str], nodes: int) -> str:
    if shards := int(environ.get("SLURM_SHARDS_ON_NODE", "0")):
        return f"gres/shard={shards}"
    return f"gres/gpu={int(environ.get('SLURM_GPUS_ON_NODE', '0')) * nodes}"
