"""What is sent to a node, and what comes back."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from typing import Any

import pytest

from passingloop.doctor.gpu_checks import Gpu, GpuEvidence
from passingloop.doctor.node_checks import NodeEvidence
from passingloop.doctor.node_part import from_json, srun_options
from passingloop.doctor.software_checks import Library, OdbcDriver
from passingloop.slurm.batch import Request
from tests.doctor.test_node_checks import NODE

WANTED = Request(
    name="x", nodes=4, gpus=2, tasks=2, cpus=8, mem="64G", time="2-00", partition=None, account=None, qos=None, extra=()
)


def test_evidence_is_the_same_after_its_way_as_json() -> None:
    gpus = GpuEvidence(gpus=(Gpu(index=0, name="H200", ecc=True), Gpu(index=1, name="H200")), xids=(79, 13))
    drivers = (OdbcDriver(name="a", library="b", found=None),)
    software = replace(NODE.software, nccl=(Library(version="2.30.7", place="x"),), odbc=drivers, cuda="13.0")
    for node in (NODE, replace(NODE, gpus=gpus, software=software)):
        assert from_json(NodeEvidence, json.loads(json.dumps(asdict(node)))) == node


def test_evidence_of_another_version_is_refused() -> None:
    values = asdict(NODE)
    del values["gpus"]
    with pytest.raises(KeyError, match="gpus"):
        from_json(NodeEvidence, values)


@pytest.mark.parametrize(
    ("changes", "there", "absent"),
    [
        ({}, ["--nodes=1", "--ntasks=1", "--time=5", "--gpus-per-node=2", "--immediate=60"], ["--partition", "--mem"]),
        (
            {"partition": "gpu", "account": "lab", "qos": "spare"},
            ["--partition=gpu", "--account=lab", "--qos=spare"],
            [],
        ),
        ({"gpus": 0}, [], ["--gpus-per-node"]),
        ({"extra": (("gres", "gpu:a100:1"),)}, ["--gres=gpu:a100:1"], ["--gpus-per-node"]),
        (
            {"extra": (("constraint", "a100"), ("exclusive", True), ("mail-type", "FAIL"))},
            ["--constraint=a100", "--exclusive"],
            ["--mail-type"],
        ),
    ],
)
def test_the_job_is_small_and_in_the_place_of_the_run(
    changes: dict[str, Any], there: list[str], absent: list[str]
) -> None:
    options = srun_options(replace(WANTED, **changes), 60)
    assert set(there) <= set(options)
    assert not [option for option in options if option.startswith(tuple(absent))] or not absent
