"""What sacct prints for a period, read."""

from __future__ import annotations

import pytest

from passingloop.slurm.job_records import FIELDS, SEPARATOR, JobRecord, bytes_of, read_job_records

USUAL = {
    "JobIDRaw": "12", "JobID": "12", "User": "anna", "Account": "team-a", "QOS": "normal", "Partition": "main",
    "NodeList": "n[1-2]", "AllocTRES": "billing=2,cpu=16,gres/gpu:h200=4,gres/gpu=4,mem=128G,node=2",
    "Submit": "1795967266", "Eligible": "1795967270", "Start": "1795967290", "End": "1795970890", "TimelimitRaw": "60",
    "State": "COMPLETED", "Cluster": "dev", "JobName": "train",
}  # fmt: skip


def read(**fields: str) -> list[JobRecord]:
    line = SEPARATOR.join((USUAL | fields)[name] for name in FIELDS)
    return list(read_job_records(line.split("\n")))


def test_a_job() -> None:
    [job] = read()
    assert (job.job_id, job.user, job.account, job.qos, job.partition) == ("12", "anna", "team-a", "normal", "main")
    assert (job.nodes, job.cpus, job.memory, job.gpus, job.gpu_type) == (("n1", "n2"), 16, 128 * 2**30, 4.0, "h200")
    assert (job.submitted, job.eligible, job.started, job.ended) == (
        1795967266.0,
        1795967270.0,
        1795967290.0,
        1795970890.0,
    )
    assert (job.time_limit, job.state, job.cluster, job.name) == (3600.0, "COMPLETED", "dev", "train")


@pytest.mark.parametrize("name", ["a|b ü", "a\x1fb", "", "日本 | x"])
def test_a_name_may_be_anything(name: str) -> None:
    assert [job.name for job in read(JobName=name)] == [name]


def test_a_name_with_a_line_end_is_no_second_job() -> None:
    assert [job.name for job in read(JobName="a\n13|13|root\nb")] == ["a"]


@pytest.mark.parametrize(
    "fields",
    [
        {"Start": "Unknown", "End": "Unknown", "NodeList": "None assigned", "State": "PENDING"},
        {"Start": "None", "State": "CANCELLED by 1000"},
        {"Start": "1795967290", "End": "1795967290", "NodeList": "None assigned", "State": "CANCELLED by 1000"},
        {"NodeList": "None assigned"},
    ],
)
def test_what_never_started_is_left_out(fields: dict[str, str]) -> None:
    assert read(**fields) == []


def test_a_running_job_of_an_array_without_limit() -> None:
    [job] = read(End="Unknown", State="RUNNING", TimelimitRaw="UNLIMITED", JobID="10_2", JobIDRaw="12")
    assert (job.ended, job.time_limit, job.job_id, job.raw_id) == (None, None, "10_2", "12")
    [job] = read(State="CANCELLED by 1000", TimelimitRaw="Partition_Limit")
    assert (job.state, job.time_limit) == ("CANCELLED", None)


@pytest.mark.parametrize(
    ("tres", "gpus", "shards", "kind"),
    [
        ("cpu=1,gres/gpu=2,node=1", 2.0, 0, None),
        ("cpu=1,node=1", 0.0, 0, None),
        ("", 0.0, 0, None),
        ("gres/gpu:a100=3,gres/gpu:l4=1,gres/gpu=4", 4.0, 0, "a100"),
        ("gres/gpu:h200=2", 2.0, 0, "h200"),
        ("gres/gpu:1g.18gb=1,gres/gpu=1", 1 / 7, 0, "1g.18gb"),
        ("gres/gpu:a100_3g.20gb=2,gres/gpu=2", 6 / 7, 0, "a100_3g.20gb"),
        ("cpu=1,gres/shard=2", 0.0, 2, None),
        ("gres/gpu=1,gres/shard=4", 1.0, 0, None),
    ],
)
def test_gpus_and_parts_of_them(tres: str, gpus: float, shards: int, kind: str | None) -> None:
    [job] = read(AllocTRES=tres)
    assert (job.gpus, job.shards, job.gpu_type) == (pytest.approx(gpus), shards, kind)


@pytest.mark.parametrize(
    ("size", "expected"), [("1000M", 1000 * 2**20), ("1.50G", 3 * 2**29), ("4096", 4096), ("2T", 2**41), ("?", None)]
)
def test_sizes(size: str, expected: int | None) -> None:
    assert bytes_of(size) == expected
