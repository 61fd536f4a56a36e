"""Slurm's notations, read and written: reasons, times, lists of nodes, names of variables."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from passingloop.slurm.environment import foreign, own_job
from passingloop.slurm.hostlist import expand
from passingloop.slurm.reasons import words as why
from passingloop.slurm.times import seconds, words


@pytest.mark.parametrize(
    ("reason", "said"),
    [
        ("Priority", "jobs of higher priority are before it"),
        ("JobArrayTaskLimit", "as many of its sweep are running as sweep.parallel allows"),
        ("ReqNodeNotAvail,UnavailableNodes:n1", "nodes that it asks for are down or reserved (ReqNodeNotAvail,Una"),
        ("QOSMaxGRESPerUser", "you have as many GPUs as its QOS gives one user"),
        ("QOSMaxMemoryPerUser", "you have as much memory as its QOS gives one user"),
        ("QOSMaxWallDurationPerJobLimit", "it asks for more time than its QOS allows, so it never starts"),
        ("QOSMaxCpuPerJobLimit", "it asks for more CPUs than its QOS gives a job, so it never starts"),
        ("QOSMinGRES", "it asks for fewer GPUs than its QOS wants of a job"),
        ("QOSMaxSubmitJobPerUserLimit", "you have as many jobs in the queue as its QOS gives one user"),
        ("AssocGrpGRES", "all jobs of its account together have as many GPUs as they may"),
        ("AssocGrpCPURunMinutesLimit", "the running jobs of its account have CPUs for as long as they may"),
        ("QOSGrpGRESMinutes", "the jobs of its QOS have used up the hours of GPUs it is given"),
        ("QOSMaxGRESMinutesPerJob", "it asks for more GPUs for longer than its QOS gives a job, so it never starts"),
        ("QOSMaxGRESPerNode", "it asks for more GPUs than its QOS gives a job on one node"),
        ("QOSGrpWallLimit", "the jobs of its QOS have used up the time that it is given"),
        ("AssocMaxJobsLimit", "you have as many jobs at the same time as its account gives one user"),
        ("MaxGRESPerAccount", "your account has as many GPUs as its QOS gives one"),
        ("MaxJobsPerAccount", "your account has as many jobs at the same time as its QOS gives one"),
        ("AssociationTimeLimit", "a limit of its account stands in its way (AssociationTimeLimit)"),
        ("QOSMaxUnknownPerUser", "a limit of its QOS stands in its way (QOSMaxUnknownPerUser)"),
        ("Job's QOS not permitted to use this partition (a allows b)", "its QOS may not be used in the partition (Job"),
        ("launch failed requeued held", "it could not be started and is held"),
        ("SomethingNew", "Slurm says SomethingNew"),
    ],
)
def test_a_reason_becomes_a_sentence(reason: str, said: str) -> None:
    assert why(reason).startswith(said)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("30", 1800.0),
        ("1:30", 90.0),
        ("4:00:00", 14400.0),
        ("2-12", 216000.0),
        ("2-12:30", 217800.0),
        ("2-12:30:15", 217815.0),
        ("UNLIMITED", None),
        ("INVALID", None),
        ("", None),
    ],
)
def test_times_are_read_as_sbatch_reads_them(text: str, expected: float | None) -> None:
    assert seconds(text) == expected


@given(st.integers(0, 400 * 86400))
def test_times_come_back(number: int) -> None:
    assert seconds(words(number)) == number


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("", []),
        ("n1", ["n1"]),
        ("n[1-3,7]", ["n1", "n2", "n3", "n7"]),
        ("n[08-11]", ["n08", "n09", "n10", "n11"]),
        ("a,b[1-2],c-3", ["a", "b1", "b2", "c-3"]),
        ("rack[1-2]n[1-2]-ib", ["rack1n1-ib", "rack1n2-ib", "rack2n1-ib", "rack2n2-ib"]),
    ],
)
def test_hostlists_are_written_out(text: str, names: list[str]) -> None:
    assert expand(text) == names


@pytest.mark.parametrize(
    ("environ", "gone"),
    [
        ({"SLURM_JOB_ID": "1", "SLURM_CPU_BIND": "x", "SBATCH_PARTITION": "p", "SRUN_CPUS_PER_TASK": "3"}, "all"),
        ({"SLURM_CONF": "/etc/slurm.conf", "PATH": "/bin", "SLURMISH": "1", "WANDB_API_KEY": "k"}, "none"),
    ],
)
def test_what_belongs_to_another_allocation_goes(environ: dict[str, str], gone: str) -> None:
    assert foreign(environ) == (list(environ) if gone == "all" else [])


def test_a_job_is_known_by_its_name() -> None:
    assert own_job({}) is None
    assert own_job({"SLURM_JOB_ID": "17"}) == "17"
    assert own_job({"SLURM_JOB_ID": "17", "SLURM_ARRAY_JOB_ID": "16", "SLURM_ARRAY_TASK_ID": "1"}) == "16_1"
