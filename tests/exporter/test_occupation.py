from __future__ import annotations

from dataclasses import replace

import pytest

from passingloop.exporter.occupation import NOT_SHOWN, occupation, reason_code
from tests.exporter.made import OCCUPANCY, job


def test_gpus_by_state() -> None:
    assert occupation(OCCUPANCY).gpus == {"allocated": 6, "idle": 10, "unavailable": 18}


def test_jobs_and_gpus_by_qos() -> None:
    found = occupation(OCCUPANCY)
    assert found.gpus_allocated == {("production",): 4, ("scavenger",): 2}
    assert found.gpus_requested == {("scavenger",): 10, ("production",): 24}
    assert found.running == {("production",): 1, ("scavenger",): 1}


def test_pending_jobs_by_reason_without_names_of_nodes() -> None:
    reasons = {"Priority": 10, "ReqNodeNotAvail": 1, "BeginTime": 1, "JobHeldUser": 1}
    assert occupation(OCCUPANCY).pending == reasons


def test_the_oldest_wait_leaves_out_who_may_not_start_yet() -> None:
    assert occupation(OCCUPANCY).longest_wait == {("scavenger",): 300, ("production",): 60}


def test_more_labels() -> None:
    found = occupation(OCCUPANCY, ["user", "account"])
    assert found.labels == ("qos", "account", "user")
    assert found.running[("scavenger", "team-b", "bob")] == 1


def test_gpus_of_jobs_that_are_not_shown_are_counted() -> None:
    """With PrivateData=jobs a user sees the nodes, and only their own jobs."""
    own = replace(OCCUPANCY, jobs=OCCUPANCY.jobs[:1])
    assert occupation(own).gpus_allocated == {("production",): 4, (NOT_SHOWN,): 2}


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("Priority", "Priority"),
        ("QOSMaxGRESPerUser", "QOSMaxGRESPerUser"),
        ("ReqNodeNotAvail, UnavailableNodes:n[1-400]", "ReqNodeNotAvail"),
        ("Nodes_required_for_job_are_DOWN", "Nodes_required_for_job_are_DOWN"),
        ("(null)", "None"),
        ("", "None"),
    ],
)
def test_reason_codes(text: str, code: str) -> None:
    assert reason_code(text) == code


def test_the_number_of_series_does_not_grow_with_the_jobs() -> None:
    many = tuple(job(str(number), "RUNNING", 1, user=f"user{number}") for number in range(5000))
    found = occupation(replace(OCCUPANCY, jobs=many))
    assert len(found.running) == len(found.gpus_allocated) == 1
