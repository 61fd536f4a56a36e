"""What scontrol prints, read: texts of 22.05 that a quiet cluster would not print."""

from __future__ import annotations

import pytest

from passingloop.slurm import control
from passingloop.slurm.notation import timestamp

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


def test_a_job_is_read_whatever_people_have_named_it() -> None:
    job = control.read_job_fields(JOB)
    assert job["JobName"] == "a | b JobState=FAILED"
    assert (job["JobId"], job["ArrayJobId"], job["ArrayTaskId"]) == ("21", "18", "2")
    assert (job["JobState"], job["Restarts"], job["NodeList"]) == ("RUNNING", "1", "n[1-2]")
    assert job["TRES"] == "cpu=4,mem=4000M,node=2,billing=4,gres/gpu=2"
    assert job["Command"] == "/home/ann/my runs/Restarts=9 JobState=FAILED.sh"


CONFIGURATION = """Configuration data as of 2026-11-21T08:00:00
AccountingStorageEnforce = associations,limits
KillWait                = 30 sec
PreemptType             = preempt/qos
"""


def test_the_configuration_is_read() -> None:
    configuration = control.read_configuration(CONFIGURATION)
    assert (configuration.enforced, configuration.max_array_size) == (("associations", "limits"), control.DEFAULT_ARRAY)
    assert (configuration.preempt_type, configuration.kill_wait) == ("preempt/qos", 30.0)
    assert (configuration.private_data, configuration.low_nice) == (("none",), control.LOW_NICE)


def test_low_priority_is_below_what_others_can_have() -> None:
    weights = {"Age": 1000, "Assoc": 200, "FairShare": 100000, "JobSize": 30, "QOS": 10**6, "Partition": 10**6}
    text = "".join(f"PriorityWeight{name.ljust(12)} = {weight}\n" for name, weight in weights.items())
    assert control.read_configuration(text).low_nice == 101230


def test_what_is_hidden_is_read() -> None:
    configuration = control.read_configuration("PrivateData             = accounts,jobs\n")
    assert configuration.private_data == ("accounts", "jobs")


NODE = "NodeName={} Arch=x86_64 State={} ThreadsPerCore=1 SlurmdStartTime={} Reason=x"


def test_which_nodes_have_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    """As scontrol words it, of nodes in states that those of one cluster are not in at the same time."""
    since = timestamp("2026-11-21T11:00:00") or 0.0
    before, after = "2026-11-20T10:00:00", "2026-11-21T11:30:00"
    told = [("n1", "IDLE", before), ("n2", "DOWN*", before), ("n3", "IDLE*", before), ("n4", "ALLOCATED", after)]
    text = "\n".join(NODE.format(*one) for one in [*told, ("n5", "MIXED", before)])
    monkeypatch.setattr(control, "run_command", lambda *_, **__: text)
    assert control.failed_nodes(["n1"], since) == ["n2", "n3", "n4"]
