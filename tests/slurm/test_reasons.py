"""Why a job waits, in a sentence."""

from __future__ import annotations

import pytest

from passingloop.slurm.reasons import reason_sentence as why


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
        ("MaxGRESRunMinsPerUser", "your jobs that run have GPUs for as long as its QOS gives them"),
        ("MaxCpuRunMinsPerAccount", "the jobs of your account that run have CPUs for as long as its QOS gives them"),
        ("MpiPortsBusy", "the ports that its MPI needs are in use"),
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
