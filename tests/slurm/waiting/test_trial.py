"""The options of sbatch that ask for a job again, from what scontrol shows of it in several releases."""

from __future__ import annotations

import pytest

from passingloop.slurm.waiting.trial import job_options

FIELDS = {
    "Account": "team-a",
    "QOS": "production",
    "Partition": "main,short",
    "NumNodes": "2-2",
    "NumTasks": "4",
    "CPUs/Task": "2",
    "MinMemoryCPU": "500M",
    "TimeLimit": "2-00:00:00",
    "Features": "(null)",
    "Licenses": "matlab:1",
    "ReqNodeList": "(null)",
    "ExcNodeList": "n3",
}
OPTIONS = {
    "account": "team-a",
    "qos": "production",
    "partition": "main,short",
    "nodes": "2-2",
    "ntasks": "4",
    "cpus-per-task": "2",
    "mem-per-cpu": "500M",
    "time": "2-00:00:00",
    "licenses": "matlab:1",
    "exclude": "n3",
}


@pytest.mark.parametrize(
    ("fields", "options"),
    [
        ({}, {}),
        ({"TresPerNode": "gres:gpu:2"}, {"gres": "gpu:2"}),  # 22.05
        ({"TresPerNode": "gres/gpu:a100:2"}, {"gres": "gpu:a100:2"}),  # 23.02
        ({"TresPerTask": "cpu=2"}, {}),  # 26.05, of each job with --cpus-per-task
        ({"TresPerNode": "gres/gpu:2,gres/shard:4"}, {"gres": "gpu:2,shard:4"}),
        ({"TresPerJob": "gres:gpu:8"}, {"gpus": "8"}),
        ({"TresPerJob": "gres/gpu:h200:8"}, {"gpus": "h200:8"}),
    ],
)
def test_a_job_is_asked_for_again(fields: dict[str, str], options: dict[str, str]) -> None:
    assert job_options(FIELDS | fields) == OPTIONS | options


@pytest.mark.parametrize(
    "fields",
    [
        {"TresPerTask": "gres/gpu:1"},
        {"TresPerTask": "cpu=2,gres/gpu=1"},
        {"TresPerJob": "gres/shard:1"},
        {"HetJobId": "7"},
    ],
)
def test_a_job_whose_fields_do_not_suffice(fields: dict[str, str]) -> None:
    assert job_options(FIELDS | fields) is None


def test_a_job_that_is_not_shown() -> None:
    assert job_options({}) is None
