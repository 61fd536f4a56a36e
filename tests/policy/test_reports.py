"""What sacctmgr, squeue and scontrol print, read. The lines are those of release 22.05."""

from __future__ import annotations

import pytest

from passingloop.policy import fields
from passingloop.policy.entities import Seat, allowed_qos
from passingloop.policy.reports import QueuedJob, read_jobs, read_state, read_tres, read_usage

QOS_ROWS = {
    "scavenger": {"Priority": "0", "GraceTime": "00:02:00", "PreemptExemptTime": "00:15:00", "PreemptMode": "requeue"},
    "fast": {
        "Description": "A qos",
        "Priority": "100",
        "GraceTime": "00:00:00",
        "Preempt": "scavenger,normal",
        "PreemptMode": "within,requeue",
        "Flags": "NoReserve,DenyOnLimit",
        "UsageFactor": "0.250000",
        "MaxWall": "3-00:00:00",
        "GrpWall": "4-04:00:00",
        "MaxTRESPU": "cpu=8,gres/gpu=2,mem=64G",
        "GrpTRESMins": "gres/gpu=300000",
    },
}
SEAT_ROWS = [
    ("dev|root|||", {"Fairshare": "1", "QOS": "fast,scavenger", "DefaultQOS": "fast"}),
    ("dev|root|root||", {"Fairshare": "1"}),
    ("dev|lab|||root", {"Fairshare": "10", "GrpTRES": "gres/gpu=4,mem=1500M", "Priority": "3"}),
    ("dev|lab|ada||", {"Fairshare": "parent", "QOS": "+scavenger,-fast", "MaxWall": "04:00:00"}),
    ("dev|lab|ada|short|", {"Fairshare": "1"}),
    ("other|lab|||root", {"QOS": "+old,normal"}),
    ("other|lab|bob||", {}),
]


def row(start: str, schema: fields.Schema, values: dict[str, str]) -> str:
    return "|".join([start, *(values.get(column, "") for column in schema.columns())])


def test_the_state_is_read() -> None:
    found = read_state(
        "dev",
        "\n".join(row(name, fields.QOS, {"UsageFactor": "1.000000"} | values) for name, values in QOS_ROWS.items()),
        "root|default root account|root\nlab|The Lab|\n",
        "root||Administrator\nada|lab|Operator\nbob|lab|None\n",
        "\n".join(row(start, fields.SEAT, values) for start, values in SEAT_ROWS),
        "cpu|\nmem|\ngres|gpu\ngres|gpu:h100\n",
    )
    assert found.qos == {
        "scavenger": {("GraceTime", ""): "120", ("PreemptExemptTime", ""): "900", ("PreemptMode", ""): "requeue"},
        "fast": {
            ("Description", ""): "a qos",
            ("Priority", ""): "100",
            ("Preempt", ""): "normal,scavenger",
            ("PreemptMode", ""): "requeue,within",
            ("Flags", ""): "DenyOnLimit,NoReserve",
            ("UsageFactor", ""): "0.25",
            ("MaxWall", ""): "259200",
            ("GrpWall", ""): "360000",
            ("MaxTRESPU", "cpu"): "8",
            ("MaxTRESPU", "gres/gpu"): "2",
            ("MaxTRESPU", "mem"): "65536",
            ("GrpTRESMins", "gres/gpu"): "300000",
        },
    }
    assert found.accounts == {
        "root": {
            ("Description", ""): "default root account",
            ("Organization", ""): "root",
            ("QOS", ""): "fast,scavenger",
            ("DefaultQOS", ""): "fast",
        },
        "lab": {
            ("Description", ""): "the lab",
            ("Parent", ""): "root",
            ("Fairshare", ""): "10",
            ("Priority", ""): "3",
            ("GrpTRES", "gres/gpu"): "4",
            ("GrpTRES", "mem"): "1500",
        },
    }
    assert found.users == {
        "root": {("AdminLevel", ""): "administrator"},
        "ada": {("AdminLevel", ""): "operator", ("DefaultAccount", ""): "lab"},
    }
    seat = Seat("ada", "lab")
    assert found.seats == {
        Seat("root", "root"): {},
        seat: {("Fairshare", ""): "parent", ("QOS", ""): "-fast,+scavenger", ("MaxWall", ""): "14400"},
        Seat("ada", "lab", "short"): {},
    }
    assert found.elsewhere == {"old", "normal"}
    assert found.tres == {"cpu", "mem", "gres/gpu", "gres/gpu:h100"}
    assert allowed_qos(found.above(seat)) == {"scavenger"}
    assert (found.seat_of("ada", "lab", "short"), found.seat_of("ada", "lab", "main")) == (
        Seat("ada", "lab", "short"),
        seat,
    )
    assert found.seat_of("bob", "lab", "main") is None


def test_jobs() -> None:
    text = (
        "3_1|ada|team-a|main,short|production|PD|30:00|30:00|2|cpu=2,mem=2000M,node=2,billing=2,gres/gpu=4|\n"
        "2|bob|team-b|main|scavenger|R|1-00:00:00|23:59:30|1|cpu=1,mem=2.50G,node=1|\n"
        "4|bob|team-b|main|scavenger|R|UNLIMITED|UNLIMITED|1-2|N/A|\n"
    )
    assert read_jobs(text) == [
        QueuedJob(
            job_id="3_1",
            user="ada",
            account="team-a",
            partition="main,short",
            qos="production",
            waits=True,
            tres={"cpu": 2, "mem": 2000, "node": 2, "billing": 2, "gres/gpu": 4},
            nodes=2,
            limit=30.0,
            left=30.0,
        ),
        QueuedJob(
            job_id="2",
            user="bob",
            account="team-b",
            partition="main",
            qos="scavenger",
            waits=False,
            tres={"cpu": 1, "mem": 2560, "node": 1},
            limit=1440.0,
            left=1439.5,
        ),
        QueuedJob(
            job_id="4", user="bob", account="team-b", partition="main", qos="scavenger", waits=False, tres={}, nodes=1
        ),
    ]


@pytest.mark.parametrize(
    ("text", "amounts"),
    [
        ("", {}),
        ("cpu=8,mem=64G", {"cpu": 8, "mem": 65536}),
        ("gres/gpu:h100=2,mem=1T", {"gres/gpu:h100": 2, "mem": 1048576}),
    ],
)
def test_resources(text: str, amounts: dict[str, int]) -> None:
    assert read_tres(text) == amounts


def test_usage() -> None:
    text = (
        "Current Association Manager state\nAssociation Records\n"
        "ClusterName=dev Account=lab UserName= Partition= Priority=0 GrpWall=N(12.50) "
        "GrpTRESMins=cpu=N(40),gres/gpu=300(120) MaxJobs=\n"
        "ClusterName=dev Account=lab UserName=ada(1001) Partition=short GrpWall=N(0.00) GrpTRESMins=cpu=N(3) MaxJobs=\n"
        "QOS Records\n"
        "QOS=fast(4) UsageRaw=0.0 GrpWall=N(1.00) GrpTRESMins=cpu=N(0),gres/gpu=N(7) Account Limits=lab={}\n"
    )
    assert read_usage(text) == {
        "account lab": {"cpu": 40.0, "gres/gpu": 120.0, "wall": 12.5},
        "user ada in lab (partition short)": {"cpu": 3.0, "wall": 0.0},
        "qos fast": {"cpu": 0.0, "gres/gpu": 7.0, "wall": 1.0},
    }
