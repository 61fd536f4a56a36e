"""How a run stands that waits for jobs that prepare its data: tables of what may come together."""

from __future__ import annotations

from typing import Any

import pytest

from passingloop.errors import ConfigError
from passingloop.rundir.events import Event, JobRef
from passingloop.slurm.accounting import JobEnd
from passingloop.slurm.batch import Request
from passingloop.status.data_jobs import state_with_data_jobs
from passingloop.status.state import Kind, Observations, State, state_of
from passingloop.submit.preparation import with_dependency
from tests.rundir.events import start
from tests.status.test_state import CANCEL, RUN, T0, end, job, ledger, queued

DATA = JobRef("before", "11")
WAITS = queued(data=[DATA])
BEFORE = "/runs/.passingloop-1000/submissions/before/submission_file_x.sh"


def jobs(own: str | None, of_data: str | None, **known: Any) -> Observations:
    """Slurm knows both jobs in these states, or has forgotten them."""
    found = []
    if own:
        found.append(job(own, reason="Dependency"))
    if of_data:
        found.append(job(of_data, job_id="11", array_id="11", script=BEFORE))
    return Observations(jobs={one.job_id: one for one in found}, **known)


def accounted(**states: str) -> dict[str, JobEnd]:
    return {name[1:]: JobEnd(job_id=name[1:], state=word, exit_code=1, time=T0) for name, word in states.items()}


def seen(known: Observations, *events: Event, failure: str | None = None) -> State:
    written = ledger(*events)
    failures = {DATA: failure} if failure else {}
    return state_with_data_jobs(state_of(RUN, written, known), written, known, failures)


@pytest.mark.parametrize(
    ("own", "of_data", "failure", "kind", "message"),
    [
        ("PENDING", "RUNNING", None, "pending", "it waits for its data to be prepared (job 11, running)"),
        ("PENDING", "PENDING", None, "pending", "prepared (job 11, which waits itself: jobs of higher priority are"),
        ("PENDING", "RUNNING", "of the time before", "pending", "it waits for its data to be prepared"),
        ("PENDING", "COMPLETED", None, "pending", "it waits for another job to end"),
        ("PENDING", "FAILED", "No a.csv.", "failed", "preparing the data failed: No a.csv."),
        ("CANCELLED", "FAILED", "No a.csv.", "failed", "preparing the data failed: No a.csv."),
        (
            "CANCELLED",
            "OUT_OF_MEMORY",
            None,
            "failed",
            "failed: job 11 ended, Slurm says OUT_OF_MEMORY.",
        ),
        ("CANCELLED", "TIMEOUT", None, "failed", "preparing the data failed: job 11 ended, Slurm says TIMEOUT."),
        ("CANCELLED", "CANCELLED", None, "cancelled", "It never began: job 11, to prepare its data, was cancelled."),
        ("CANCELLED", "COMPLETED", None, "cancelled", "It never began."),
        (None, None, "No a.csv.", "failed", "preparing the data failed: No a.csv."),
        (None, None, None, "lost", "It never began. Slurm does not know its job any more."),
    ],
)
def test_what_is_said(own: str | None, of_data: str | None, failure: str | None, kind: Kind, message: str) -> None:
    state = seen(jobs(own, of_data), WAITS, failure=failure)
    assert state.kind == kind
    assert state.message is not None and message in state.message


def test_what_the_queue_has_forgotten_is_in_the_accounts() -> None:
    state = seen(jobs(None, None, job_ends=accounted(_12="CANCELLED", _11="TIMEOUT")), WAITS)
    assert (state.kind, state.message) == ("failed", "preparing the data failed: job 11 ended, Slurm says TIMEOUT.")


def test_who_was_cancelled_by_a_person_is_cancelled() -> None:
    assert seen(jobs("CANCELLED", "CANCELLED"), WAITS, CANCEL, failure="No a.csv.").kind == "cancelled"


def test_another_clusters_job_of_that_number_says_nothing() -> None:
    known = Observations(jobs={"12": job("PENDING", reason="Dependency"), "11": job("FAILED", job_id="11")})
    assert seen(known, WAITS).kind == "pending"


def test_a_run_that_has_begun_waits_for_nothing() -> None:
    assert ledger(WAITS).data_jobs == [DATA]
    assert ledger(WAITS, start()).data_jobs == []
    assert ledger(WAITS, start(), end("preempted"), queued("13", "next")).data_jobs == []
    assert ledger().data_jobs == []
    assert seen(jobs("RUNNING", "COMPLETED"), WAITS, start(), failure="of long ago").kind == "running"


def asked(**extra: str) -> Request:
    plain: dict[str, Any] = dict.fromkeys(("cpus", "mem", "time", "partition", "account", "qos"))
    return Request(name="a", nodes=1, gpus=1, tasks=1, extra=tuple(extra.items()), **plain)


def test_a_dependency_is_added_to_ones_own() -> None:
    assert with_dependency(asked(), []) == asked()
    assert dict(with_dependency(asked(), ["1", "2"]).extra)["dependency"] == "afterok:1:2"
    assert dict(with_dependency(asked(dependency="singleton"), ["1"]).extra)["dependency"] == "singleton,afterok:1"
    with pytest.raises(ConfigError, match=r"You set cluster.extra.dependency=afterok:1\?afterok:2, of which any"):
        with_dependency(asked(dependency="afterok:1?afterok:2"), ["3"])
