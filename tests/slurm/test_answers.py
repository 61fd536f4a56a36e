"""What Slurm's commands print, read: texts of 22.05 that a quiet cluster would not print. No cluster needed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from passingloop.errors import SlurmRefused
from passingloop.slurm import accounting, array, control
from passingloop.slurm.batch import in_words
from passingloop.slurm.times import moment

JOB = """JobId=21 ArrayJobId=18 ArrayTaskId=2 JobName=a | b JobState=FAILED
   UserId=ann(7) GroupId=ann(7) MCS_label=N/A
   JobState=RUNNING Reason=None Dependency=(null)
   Requeue=1 Restarts=1 BatchFlag=1 Reboot=0 ExitCode=0:0
   SubmitTime=2026-11-21T09:12:32 PreemptTime=None
   NodeList=n[1-2]
   NumNodes=2 NumCPUs=4 CPUs/Task=1 ReqB:S:C:T=0:0:*:*
   TRES=cpu=4,mem=4000M,node=2,billing=4,gres/gpu=2
   Command=/home/ann/my runs/Restarts=9 JobState=FAILED.sh
   WorkDir=/home/ann/my runs
   Comment=NodeList=none


JobId=22 ArrayJobId=18 ArrayTaskId=3 JobName=other
   JobState=PENDING Reason=Priority Dependency=(null)
"""

ENDED = """12_0|COMPLETED|0:0|2026-11-21T09:15:15
12_1|CANCELLED by 1000|0:15|2026-11-21T09:15:15
12_[2,5-9:2%1]|CANCELLED by 0|0:0|2026-11-21T09:15:15
13|RUNNING|0:0|Unknown
14|OUT_OF_MEMORY|0:125|Unknown
"""


def test_a_job_is_read_whatever_people_have_named_it() -> None:
    job = control.read(JOB)
    assert job["JobName"] == "a | b JobState=FAILED"
    assert (job["JobId"], job["ArrayJobId"], job["ArrayTaskId"]) == ("21", "18", "2")
    assert (job["JobState"], job["Restarts"], job["NodeList"]) == ("RUNNING", "1", "n[1-2]")
    assert job["TRES"] == "cpu=4,mem=4000M,node=2,billing=4,gres/gpu=2"
    assert job["Command"] == "/home/ann/my runs/Restarts=9 JobState=FAILED.sh"


def test_ends_are_read_task_by_task() -> None:
    jobs = {job.job_id: job for job in accounting.read(ENDED)}
    assert {name: job.state for name, job in jobs.items()} == {
        "12_0": "COMPLETED", "12_1": "CANCELLED", "12_2": "CANCELLED", "12_5": "CANCELLED", "12_7": "CANCELLED",
        "12_9": "CANCELLED", "14": "OUT_OF_MEMORY",
    }  # fmt: skip
    assert jobs["12_0"].ended == moment("2026-11-21T09:15:15")
    assert jobs["14"].ended is None


@given(st.sets(st.integers(0, 4000), min_size=1))
def test_tasks_are_written_as_one_name_and_read_again(indices: set[int]) -> None:
    names = {f"12_{index}" for index in indices}
    [one] = array.grouped(names)
    assert set(array.tasks(one)) == names


def test_jobs_and_tasks_are_grouped_each_once() -> None:
    assert list(array.grouped(["7", "12_10", "100", "12_2", "7", "12_10"])) == ["7", "12_[2,10]", "100"]


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (
            "invalid partition specified: x; allocation failure: Invalid partition name specified",
            "invalid partition specified: x; Invalid partition name specified. Set a cluster.partition that you may",
        ),
        (
            "allocation failure: Invalid account or account/partition combination specified",
            "Invalid account or account/partition combination specified. Set a cluster.account that you are a member",
        ),
        (
            "Batch job submission failed: Requested time limit is invalid (missing or exceeds some limit)",
            "Requested time limit is invalid (missing or exceeds some limit). Set a shorter resources.time.",
        ),
        ("allocation failure: User's group not permitted to use this partition", "partition. Set a cluster.partition"),
        ("allocation failure: Memory specification can not be satisfied", "satisfied. No node has what resources"),
        (
            "QOSMaxSubmitJobPerUserLimit; allocation failure: Job violates accounting/QOS policy (job submit limit)",
            "(job submit limit). Submit fewer at a time",
        ),
        ("Your project has no GPU hours left, says the site", "Your project has no GPU hours left, says the site."),
    ],
)
def test_a_refusal_says_what_to_do(said: str, words: str) -> None:
    assert words in in_words(said)


def test_a_refusal_can_be_raised_again_with_more_words() -> None:
    refusal = SlurmRefused("sbatch: no.", text="no")
    assert refusal.text == "no"
    assert str(type(refusal)(f"{refusal} 2 are submitted.")) == "sbatch: no. 2 are submitted."
