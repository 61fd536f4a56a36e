"""From accounting and reports to outcomes: what was held, what was lost, and how each time ended."""

from __future__ import annotations

from dataclasses import replace

import pytest

from passingloop.simulation.replay.replay_records import (
    Record,
    Reports,
    Stop,
    launch_s,
    outcomes,
    read_records,
)
from passingloop.simulation.replay.saving import Saving
from passingloop.simulation.trace_jobs import Outcome, Segment, TraceJob

SAVING = Saving(save_s=10.0, restart_s=60.0, every_s=900.0)
ZERO, OVER = 1000.0, 20_000.0
JOB = TraceJob(number=0, submit_s=5.0, duration_s=600.0, gpus=1, cpus=1, user="ada", account="vision", state="failed")
NONE = Reports(stops={}, ended=frozenset(), limits_s={0: 3600.0}, reasons={}, begins={})


def row(start: float | None, end: float | None, state: str = "COMPLETED", eligible: float = 1005.0) -> Record:
    return Record(number=0, eligible=eligible, start=start, end=end, state=state)


def outcome(reports: Reports, *rows: Record) -> Outcome:
    (found,) = outcomes([JOB], rows, reports, SAVING, ZERO, OVER)
    return found


def test_rows_of_sacct_are_read_and_others_passed_over() -> None:
    read = read_records(
        "7|1005|1010|1620|COMPLETED\nbash|1|2|3|FAILED\n8|1005|Unknown|Unknown|PENDING\n9|0|0|0|CANCELLED by 0"
    )
    assert [(one.number, one.eligible, one.start, one.end, one.state) for one in read] == [
        (7, 1005.0, 1010.0, 1620.0, "COMPLETED"),
        (8, 1005.0, None, None, "PENDING"),
        (9, None, None, None, "CANCELLED"),
    ]


def test_a_job_that_ran_to_its_end_ends_as_in_the_trace() -> None:
    found = outcome(replace(NONE, ended=frozenset({0})), row(1010.0, 1611.0, "FAILED"))
    assert found.eligible_s == 5.0
    assert found.segments == (Segment(10.0, 611.0, 0.0, "failed"),)


def test_a_preempted_job_loses_what_it_had_not_saved_and_its_restart() -> None:
    stops = {(0, 0): Stop(at=1200.0, useful_s=190.0)}
    reports = replace(NONE, ended=frozenset({0}), stops=stops)
    found = outcome(reports, row(1010.0, 1215.0, "REQUEUED"), row(2000.0, 2471.0, "FAILED", eligible=1336.0))
    assert [segment.end for segment in found.segments] == ["preempted", "failed"]
    assert [segment.lost_s for segment in found.segments] == [15.0, 60.0]
    assert found.eligible_s == 5.0


def test_one_that_was_killed_without_notice_loses_all_of_that_time() -> None:
    found = outcome(NONE, row(1010.0, 1110.0, "PREEMPTED"), row(2000.0, None, "RUNNING"))
    assert found.segments == (Segment(10.0, 110.0, 100.0, "preempted"), Segment(1000.0, 19_000.0, 60.0, "running"))


def test_a_stop_just_before_the_limit_is_one_at_the_limit() -> None:
    stops = {(0, 0): Stop(at=1010.0 + 3500.0, useful_s=3490.0)}
    found = outcome(replace(NONE, stops=stops), row(1010.0, 4525.0, "REQUEUED"))
    assert found.segments[0].end == "timeout"
    assert found.segments[0].lost_s == pytest.approx(25.0)


def test_a_job_that_never_started_has_slurms_reason() -> None:
    found = outcome(replace(NONE, reasons={0: "QOSMaxGRESPerUser"}), row(None, None, "PENDING"))
    assert (found.segments, found.reason) == ((), "QOSMaxGRESPerUser")


def test_the_launch_is_what_a_job_holds_its_gpus_longer_than_it_computes() -> None:
    ended = replace(NONE, ended=frozenset({0}))
    assert launch_s([outcome(ended, row(1010.0, 1610.0 + late)) for late in (1.0, 2.0, 9.0)]) == 2.0
    assert launch_s([outcome(NONE, row(None, None))]) == 0.0


def test_a_start_that_slurmdbd_does_not_know_is_when_the_script_began() -> None:
    """Of 2,040 jobs of a replay 23 had none, and counted as never started."""
    reports = replace(NONE, ended=frozenset({0}), begins={0: [1011.0, 1400.0]})
    found = outcome(reports, row(None, 1300.0, "REQUEUED"), row(1399.0, 2000.0, "FAILED"))
    assert [(segment.start_s, segment.end_s) for segment in found.segments] == [(11.0, 300.0), (399.0, 1000.0)]
    assert outcome(reports, row(None, 1005.0, "CANCELLED")).segments == ()


@pytest.mark.parametrize("last", [row(None, None, "PENDING"), row(None, 1900.0, "CANCELLED")])
@pytest.mark.parametrize(("start", "begin"), [(None, 1011.0), (1010.0, 1009.9)])
def test_a_piece_that_never_started_has_not_the_start_of_the_piece_before(
    last: Record, start: float | None, begin: float
) -> None:
    """Its job was preempted, and waited in the queue until the end of the replay, or until it was cancelled."""
    found = outcome(replace(NONE, begins={0: [begin]}), row(start, 1300.0, "REQUEUED"), last)
    assert [segment.end_s for segment in found.segments] == [300.0]
