"""What an allocation has, from what Slurm says of it."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from passingloop.launch.allocation import Allocation
from tests.conftest import Compose

JOB = {"JobId": "17", "NodeList": "gpu[01-02]", "NumCPUs": "16", "AllocTRES": "cpu=16,mem=8G,node=2,gres/gpu=4"}
ON_NODE = {"SLURMD_NODENAME": "gpu01", "SLURM_CPUS_ON_NODE": "6"}


def test_an_allocation_is_read_from_the_job() -> None:
    found = Allocation.from_slurm(JOB, ON_NODE)
    assert (found.job_id, found.name, found.nodes) == ("17", "17", ("gpu01", "gpu02"))
    assert (found.cpus_here, found.gpus, found.on_node) == (6, 2, True)
    outside = Allocation.from_slurm(JOB | {"AllocTRES": "cpu=16"}, {})
    assert (outside.cpus_here, outside.gpus, outside.on_node) == (8, 0, False)
    assert str(found) == "Slurm job 17 on gpu01, gpu02"


def test_a_task_has_the_name_of_its_array() -> None:
    found = Allocation.from_slurm(JOB | {"ArrayJobId": "16", "ArrayTaskId": "3"}, ON_NODE)
    assert (found.job_id, found.name) == ("17", "16_3")


@pytest.mark.parametrize(
    ("nodes", "on_node", "words", "step"),
    [
        (("a",), True, (), False),
        (("a",), False, (), True),
        (("a", "b"), True, (), True),
        (("a", "b"), True, ("resources.nodes=1",), False),
        (("a", "b"), True, ("resources.nodes=1-4",), True),
        (("a",), True, ("resources.nodes=1-4",), False),
    ],
)
def test_srun_is_needed_for_other_machines(
    compose: Compose, nodes: tuple[str, ...], on_node: bool, words: tuple[str, ...], step: bool
) -> None:
    found = dataclasses.replace(Allocation.from_slurm(JOB, ON_NODE), nodes=nodes, on_node=on_node)
    assert found.needs_step(compose(*words)) is step


def test_a_node_without_scontrol_knows_its_own_share(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    told = ON_NODE | {"SLURM_JOB_ID": "17", "SLURM_JOB_NODELIST": "gpu[01-02]", "SLURM_JOB_NUM_NODES": "2"}
    for name, value in (told | {"SLURM_GPUS_ON_NODE": "2"}).items():
        monkeypatch.setenv(name, value)
    found = Allocation.current()
    assert found == Allocation.from_slurm(JOB, ON_NODE)
