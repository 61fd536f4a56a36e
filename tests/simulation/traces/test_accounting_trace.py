from __future__ import annotations

import pytest

from passingloop.errors import DataError
from passingloop.simulation.trace_jobs import TraceJob
from passingloop.simulation.traces.accounting_trace import Period, accounting_trace
from passingloop.simulation.traces.trace import Trace
from tests.simulation.traces.made import job

HEADER = "JobID|User|Account|QOS|Partition|ReqTRES|AllocTRES|Submit|Eligible|Start|End|TimelimitRaw|State"
HOLDS = "billing=8,cpu=8,gres/gpu=2,mem=4G,node=1"

WEEK = Period(since=1_000_000, until=1_600_000)


def line(job_id: str, times: str, state: str, **values: str) -> str:
    """A line of sacct. `times` are submit, eligible, start and end, in seconds from the begin of `WEEK`."""
    submit, eligible, start, end = (
        str(1_000_000 + int(time)) if time.lstrip("-").isdigit() else time for time in times.split()
    )
    fields = {"User": "ada", "Account": "a", "QOS": "normal", "Partition": "gpu", "ReqTRES": HOLDS, "AllocTRES": HOLDS,
              "TimelimitRaw": "120"} | values  # fmt: skip
    row = fields | {"JobID": job_id, "Submit": submit, "Eligible": eligible, "Start": start, "End": end, "State": state}
    return "|".join(row[name] for name in HEADER.split("|"))


def read(*lines: str, period: Period | None = WEEK, partition: str = "", cpu_jobs: bool = False) -> Trace:
    return accounting_trace([HEADER, *lines], "sacct", period, partition, cpu_jobs=cpu_jobs)


def expected(**values: object) -> TraceJob:
    return job(**{"gpus": 2, "cpus": 8, "qos": "normal", "limit_s": 7200.0} | values)


@pytest.mark.parametrize(
    ("state", "into"),
    [
        ("COMPLETED", "completed"),
        ("FAILED", "failed"),
        ("OUT_OF_MEMORY", "failed"),
        ("NODE_FAIL", "failed"),
        ("CANCELLED by 1000", "cancelled"),
        ("TIMEOUT", "timeout"),
    ],
)
def test_a_job_with_its_end(state: str, into: str) -> None:
    trace = read(line("7", "100 100 160 460", state))
    assert trace.jobs == (expected(submit_s=100, duration_s=300, state=into),)
    assert trace.length_s == 600_000
    assert trace.notes == ()


def test_the_times_of_a_preempted_job_are_one_job() -> None:
    """Its limit is for each of its runs, and it must not end by it."""
    trace = read(
        line("7", "5000 5000 6000 9000", "COMPLETED"),
        line("8", "0 0 10 20", "COMPLETED"),
        line("7", "100 100 200 5000", "PREEMPTED"),
    )
    assert trace.jobs == (
        expected(submit_s=0, duration_s=10),
        expected(number=1, submit_s=100, duration_s=4800 + 3000, limit_s=7860),
    )
    assert trace.notes == (
        "1 jobs were preempted or requeued: each is one job that computes as long as it ran, with what it lost and its "
        "restarts.",
    )


def test_a_number_that_is_used_again_is_another_job() -> None:
    trace = read(line("7", "0 0 10 20", "FAILED"), line("7", "50 50 60 90", "COMPLETED"))
    assert [(one.submit_s, one.duration_s, one.state) for one in trace.jobs] == [
        (0, 10, "failed"),
        (50, 30, "completed"),
    ]


def test_tasks_of_an_array_are_jobs_also_those_that_share_a_record() -> None:
    trace = read(
        line("7_0", "0 0 10 20", "COMPLETED"),
        line("7_[1-3,6%2]", "0 0 Unknown 500", "CANCELLED by 0", AllocTRES=""),
    )
    assert trace.jobs[0] == expected(duration_s=10)
    assert [(one.duration_s, one.patience_s, one.gpus, one.state) for one in trace.jobs[1:]] == [
        (0, 500, 2, "cancelled")
    ] * 4


def test_what_waited_or_ran_at_the_begin_or_the_end() -> None:
    trace = read(
        line("1", "-500 -500 -400 100", "COMPLETED"),
        line("2", "-500 -500 -400 -100", "COMPLETED"),
        line("3", "599000 599000 599500 Unknown", "RUNNING"),
        line("4", "599000 599000 Unknown Unknown", "PENDING", AllocTRES=""),
        line("5", "700000 700000 700001 700002", "COMPLETED"),
    )
    assert trace.jobs == (
        expected(submit_s=0, duration_s=100),
        expected(number=1, submit_s=599_000, duration_s=500),
    )
    assert sorted(trace.notes) == [
        "1 jobs had not ended: they count with what they ran until the end of the period.",
        "1 jobs never started and are left out: nothing says how long they would have computed.",
        "1 jobs were there at the begin: they are submitted in the first second, with what was left of them.",
        "2 jobs were submitted or ended outside the period and are left out.",
    ]


def test_a_job_that_was_cancelled_while_it_waited_has_a_start() -> None:
    trace = read(line("7", "100 100 400 400", "CANCELLED by 0", AllocTRES=""), line("8", "0 0 5 5", "FAILED"))
    assert trace.jobs == (expected(submit_s=100, duration_s=0, patience_s=300, state="cancelled"),)
    assert trace.notes == ("1 jobs ended within a second and are left out.",)


def test_a_job_is_submitted_when_it_became_eligible() -> None:
    trace = read(line("7", "0 3600 3700 3800", "COMPLETED"))
    assert trace.jobs[0].submit_s == 3600
    assert "became eligible" in trace.notes[0]


def test_preempted_for_good() -> None:
    trace = read(line("7", "0 0 10 20", "PREEMPTED"))
    assert trace.jobs[0].state == "cancelled"
    assert trace.notes == ("1 jobs were preempted for good: they count as cancelled by then.",)


def test_a_preempted_job_that_slurm_24_11_does_not_say_the_end_of() -> None:
    trace = read(line("7", "0 0 10 20", "PREEMPTED"), line("7", "20 20 30 70", "PREEMPTED"))
    assert [(one.state, one.duration_s) for one in trace.jobs] == [("completed", 50)]
    assert "1 jobs ended as PREEMPTED after a restart" in trace.notes[1]


def test_jobs_without_gpus_and_of_other_partitions() -> None:
    lines = (
        line("1", "0 0 10 20", "COMPLETED", AllocTRES="cpu=4,mem=1G"),
        line("2", "0 0 10 30", "COMPLETED", Partition="debug"),
        line("3", "0 0 10 40", "COMPLETED", AllocTRES="cpu=1,gres/gpu:a100_1g.5gb=1,gres/gpu=1"),
    )
    trace = read(*lines)
    assert [(one.gpus, one.duration_s) for one in trace.jobs] == [(2, 20), (1, 30)]
    assert trace.notes == ("1 jobs had no GPU and are left out.",)
    assert [one.duration_s for one in read(*lines, partition="debug").jobs] == [20]
    assert [one.duration_s for one in read(*lines, cpu_jobs=True).jobs] == [10, 20, 30]


def test_dates_steps_and_the_period_of_a_saved_file() -> None:
    trace = read(
        line("7", "2026-11-01T08:00:00 2026-11-01T08:00:00 2026-11-01T08:01:00 2026-11-01T09:01:00", "COMPLETED"),
        line("7.batch", "2026-11-01T08:00:00 Unknown 2026-11-01T08:01:00 2026-11-01T09:01:00", "COMPLETED"),
        line("8", "2026-11-01T08:00:30 Unknown 2026-11-01T08:01:00 2026-11-01T08:31:00", "COMPLETED"),
        period=None,
    )
    assert [(one.submit_s, one.duration_s) for one in trace.jobs] == [(0, 3600), (30, 1800)]
    assert trace.length_s == 3660


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["JobID|User"], "sacct: line 1: the column Account is missing. Save it, with its header, with sacct"),
        ([HEADER, "7|ada"], "sacct: line 2: there are 2 fields, but 13 columns."),
        ([HEADER, line("7", "soon 0 10 20", "COMPLETED")], "sacct: line 2: Submit is 'soon', which is no time."),
        ([HEADER, line("7", "0 0 1 2", "COMPLETED", AllocTRES="cpu=many")], "sacct: line 2: "),
        ([HEADER], "sacct has no jobs. Ask for a longer period"),
        ([HEADER, line("7", "0 0 1 2", "COMPLETED", AllocTRES="cpu=1")], "sacct has no jobs with GPUs in this period."),
    ],
)
def test_what_is_wrong_with_a_file(lines: list[str], message: str) -> None:
    with pytest.raises(DataError) as raised:
        accounting_trace(lines, "sacct", WEEK)
    assert str(raised.value).startswith(message)
