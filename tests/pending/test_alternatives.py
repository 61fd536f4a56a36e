"""What may start a job sooner, from evidence; whether it does, Slurm is asked."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from passingloop.pending.alternatives import possible_changes
from passingloop.pending.diagnosis import explain
from passingloop.slurm.waiting.ceilings import QUEUED, RUNNING, WALL, Ceiling, Ceilings
from passingloop.slurm.waiting.supply import Reservation
from tests.pending.situation import HOUR, MAIN, N1, N2, NOW, SHORT, cap, ceilings, evidence

OPTIONS = {"qos": "production", "partition": "main", "time": "2:00:00", "gres": "gpu:4"}
ALL = {
    "cluster.qos=interactive",
    "cluster.qos=small",
    "cluster.qos=scavenger",
    "resources.time=1:00:00",
    "cluster.partition=short resources.time=1:00:00",
    "resources.gpus=2",
    "resources.gpus=1",
}


ACCOUNTS: dict[tuple[str, str], tuple[Ceiling, ...]] = {("team-a", ""): (), ("team-b", ""): ()}


def changes(
    reason: str, options: dict[str, str] = OPTIONS, known: Ceilings | None = None, **given: Any
) -> dict[str, dict[str, str]]:
    """The options that differ, by the setting."""
    found = evidence(reason, **given)
    found = replace(found, ceilings=known) if known else found
    return {change.setting: dict(change.options) for change in possible_changes(found, explain(found), options)}


def test_every_kind_of_change_is_tried() -> None:
    found = changes("Resources")
    assert found.keys() == ALL
    assert found["cluster.qos=interactive"] == {"qos": "interactive"}
    assert found["cluster.partition=short resources.time=1:00:00"] == {"partition": "short", "time": "1:00:00"}
    assert found["resources.gpus=2"] == {"gres": "gpu:2"}


@pytest.mark.parametrize("reason", ["JobHeldUser", "Dependency", "BeginTime", "JobArrayTaskLimit", "None", "Moon"])
def test_no_other_request_helps_a_job_that_is_held_or_waits_for_a_time(reason: str) -> None:
    assert changes(reason) == {}


def test_a_qos_that_has_no_room_either_is_left_out() -> None:
    full = cap("qos", "interactive", "user", "gres/gpu", 2, 0)
    busy = cap("qos", "small", "user", RUNNING, 1, 1)
    found = changes("Resources", caps=(full, busy))
    assert ALL - found.keys() == {"cluster.qos=interactive", "cluster.qos=small"}


def test_a_limit_on_jobs_in_the_queue_is_left_to_sbatch() -> None:
    """The job is in that use already, if the QOS is the same."""
    assert "cluster.qos=interactive" in changes("Resources", caps=(cap("qos", "interactive", "user", QUEUED, 1, 1),))


def test_a_limit_of_the_account_holds_in_every_qos() -> None:
    found = changes("AssocGrpGRES", caps=(cap("account", "team-a", "all", "gres/gpu", 11, 8),))
    assert not [setting for setting in found if "qos" in setting]
    assert "resources.gpus=3" in found  # what the limit leaves


@pytest.mark.parametrize(
    ("gres", "setting", "text"),
    [
        ("gpu:h200:4", "resources.gpus=2", "gpu:h200:2"),
        ("gpu:4,shard:2", "resources.gpus=2", "gpu:2,shard:2"),
    ],
)
def test_the_kind_of_gpu_stays(gres: str, setting: str, text: str) -> None:
    assert changes("Resources", {**OPTIONS, "gres": gres})[setting] == {"gres": text}


def test_gpus_of_a_whole_job_are_fewer_too() -> None:
    options = {"gpus": "h200:4"}
    assert changes("Resources", options)["resources.gpus=1"] == {"gpus": "h200:1"}


def test_a_time_before_the_reservation_begins() -> None:
    maint = Reservation(name="maint", start=NOW + 1.5 * HOUR, end=NOW + 9 * HOUR, nodes=("n1", "n2"))
    known = evidence("ReqNodeNotAvail, Reserved for maintenance", cluster={"reservations": (maint,)})
    found = possible_changes(known, explain(known), OPTIONS)
    [change] = [change for change in found if change.setting == "resources.time=1:29:00"]
    assert change.note
    assert "ends before reservation maint begins" in change.note


@pytest.mark.parametrize(
    "flexible",
    [{"flags": ("FLEX",)}, {"nodes": ("n9",)}, {"start": NOW + 3 * HOUR}, {"end": NOW - 1, "start": NOW - 2}],
)
def test_reservations_that_are_not_in_the_way(flexible: dict[str, Any]) -> None:
    maint = Reservation(name="maint", start=NOW + 1.5 * HOUR, end=NOW + 9 * HOUR, nodes=("n1", "n2"))
    assert "resources.time=1:29:00" not in changes("Resources", cluster={"reservations": (replace(maint, **flexible),)})


def test_the_longest_time_that_a_limit_allows() -> None:
    assert "resources.time=1:30:00" in changes(
        "QOSMaxWallDurationPerJobLimit", caps=(cap("qos", "production", "job", WALL, 90),)
    )
    assert "resources.time=1-00:00:00" in changes("PartitionTimeLimit", limit=48 * HOUR)
    left = cap("qos", "production", "all", "gres/gpu", 600, 360, "running minutes")
    assert "resources.time=1:00:00" in changes("QOSGrpGRESRunMinutes", caps=(left,))


@pytest.mark.parametrize("closed", [{"hidden": True}, {"accounts": ("team-b",)}, {"nodes": ()}])
def test_partitions_that_are_closed_to_the_job(closed: dict[str, Any]) -> None:
    found = changes("Resources", cluster={"partitions": {"main": MAIN, "short": replace(SHORT, **closed)}})
    assert not [setting for setting in found if "partition" in setting]


def test_a_partition_that_is_down_is_left_out() -> None:
    found = changes("Resources", cluster={"partition_states": {"main": "UP", "short": "DOWN"}})
    assert not [setting for setting in found if "partition" in setting]


def test_what_a_qos_limits_its_accounts_do_not_limit_any_more() -> None:
    short = cap("association", "ann in team-a", "job", WALL, 60)
    assert "cluster.qos=interactive" not in changes("Resources", caps=(short,))
    assert "cluster.qos=interactive" in changes("Resources", caps=(short, cap("qos", "interactive", "job", WALL, 240)))


def test_partitions_with_room_come_first() -> None:
    empty = replace(N1, name="n3", partitions=("last",), gpus_held=0, cpus_held=0, mem_held=0)
    known = {"main": MAIN, "short": SHORT, "last": replace(SHORT, name="last")}
    states = dict.fromkeys(known, "UP")
    cluster = {"partitions": known, "partition_states": states, "nodes": (N1, N2, empty)}
    found = [setting for setting in changes("Resources", cluster=cluster) if "partition" in setting]
    assert [setting.split()[0] for setting in found] == ["cluster.partition=last", "cluster.partition=short"]


def test_another_account_where_the_account_is_full() -> None:
    elsewhere = replace(ceilings(cap("account", "team-a", "all", "gres/gpu", 8, 8)), associations=ACCOUNTS)
    assert "cluster.account=team-b" in changes("AssocGrpGRES", known=elsewhere)
    both = cap("account", "research", "all", "gres/gpu", 8, 8)
    everywhere = replace(ceilings(both), associations=ACCOUNTS)
    assert "cluster.account=team-b" not in changes("AssocGrpGRES", known=everywhere)
    assert "cluster.account=team-b" not in changes("Resources", known=replace(ceilings(), associations=ACCOUNTS))


def test_a_job_that_never_starts_is_helped_if_it_can_wait() -> None:
    """The account is full as well, but that passes."""
    long = cap("qos", "production", "job", WALL, 90)
    full = cap("account", "team-a", "all", "gres/gpu", 8, 8)
    found = changes("QOSMaxWallDurationPerJobLimit", caps=(long, full))
    assert "resources.time=1:30:00" in found
    assert "resources.gpus=1" not in found  # it would still be too long


def test_a_job_that_is_too_long_for_its_partition_is_helped_only_by_what_makes_it_fit() -> None:
    """sbatch --test-only does not look at the partition's time limit: it would give a start for all of them."""
    found = changes("PartitionTimeLimit", options={**OPTIONS, "partition": "short"}, partitions=("short",))
    assert found.keys() == {"resources.time=1:00:00", "cluster.partition=main"}


def test_a_job_too_long_for_every_partition_gets_the_longest_time_alone() -> None:
    assert changes("PartitionTimeLimit", limit=96 * HOUR).keys() == {
        "resources.time=1-00:00:00",
        "cluster.partition=short resources.time=1:00:00",
    }
