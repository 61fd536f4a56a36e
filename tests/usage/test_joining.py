"""Accounting and run directories joined; and each without the other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from passingloop.report.usage.allocation_use import Allocation
from passingloop.slurm.job_records import JobRecord
from passingloop.usage.joining import joined
from passingloop.usage.run_records import RunRecord
from tests.usage.told import NOON, Told, job


def all_of(
    jobs: Sequence[JobRecord],
    runs: Sequence[RunRecord],
    until: float = 10_000.0,
    since: float = -10_000.0,
    **shards: float,
) -> list[Allocation]:
    return sorted(joined(jobs, runs, NOON + since, NOON + until, shards), key=lambda each: each.started)


def times(allocation: Allocation) -> tuple[float, float]:
    return allocation.started - NOON, allocation.ended - NOON


def preempted_once(told: Told) -> RunRecord:
    """A run that was preempted after 600 s, requeued, and completed."""
    run = told.runs.new("name=a")
    told.queued(run, -100, "12")
    told.start(run, 10, "12")
    told.end(run, 600, "preempted", queued=90, starting=60, training=500, saving=20, lost=0)
    told.decided(run, 601, "requeue")
    told.start(run, 910, "12")
    told.end(run, 1500, "completed", queued=200, starting=50, training=530, saving=10)
    (run.path / "result.json").write_text('{"metrics": {}}')
    return told.read(run)


def test_a_run_that_was_requeued(told: Told) -> None:
    """Accounting calls both periods PREEMPTED, as it may: the run directory knows better."""
    first, second = all_of(
        [job("12", 900, 1505, state="PREEMPTED"), job("12", 0, 605, state="PREEMPTED")], [preempted_once(told)]
    )
    assert (first.cause, first.is_requeued, times(first)) == ("preempted", True, (0, 605))
    assert (second.cause, second.is_requeued, times(second)) == ("completed", False, (900, 1505))
    [part] = first.parts
    assert part.run.startswith("a/")
    assert part.seconds == pytest.approx({"starting": 10 + 60 + 10, "training": 500, "saving": 20, "holding": 5})
    assert second.parts[0].seconds == pytest.approx({"starting": 10 + 50, "training": 530, "saving": 10, "holding": 5})
    assert (first.wait, second.wait) == (60, 60)


def test_the_same_run_without_accounting(told: Told) -> None:
    first, second = all_of([], [preempted_once(told)])
    assert (times(first), times(second)) == ((10, 600), (910, 1500))
    assert (first.cause, first.is_requeued, second.cause, second.is_requeued) == ("preempted", True, "completed", False)
    assert (first.wait, second.wait) == (90, 200)
    assert (first.gpus, first.cpus, first.account) == (1.0, None, None)
    assert first.parts[0].seconds == pytest.approx({"starting": 60 + 10, "training": 500, "saving": 20})


def test_jobs_without_a_run() -> None:
    jobs = [
        job("1", 0, 100, state="PREEMPTED"),
        job("1", 200, 300),
        job("2", 0, 100, state="FAILED"),
        job("3", 0, None, state="RUNNING", time_limit=None),
        job("4", 0, 50, state="REQUEUED"),
    ]
    found = {(each.job_id, times(each)[0]): each for each in all_of(jobs, [], until=1000)}
    assert {key: (each.cause, each.is_requeued) for key, each in found.items()} == {
        ("1", 0): ("preempted", True),
        ("1", 200): ("completed", False),
        ("2", 0): ("crash", False),
        ("3", 0): (None, False),
        ("4", 0): ("requeued", True),
    }
    assert times(found["3", 0]) == (0, 1000)
    assert found["3", 0].is_running
    assert all(each.parts == () and each.uses == {"unexplained": each.seconds} for each in found.values())


def test_a_requeue_counts_in_the_period_in_which_it_was(told: Told) -> None:
    """Not in one that ended before; and what began after a period has no part in it, however soon it began."""
    run = preempted_once(told)
    jobs = [job("12", 0, 605, state="REQUEUED"), job("12", 900, 1505)]
    for known in (jobs, []):
        [before] = all_of(known[:1], [run], until=300)
        assert (before.cause, before.is_requeued, times(before)[1]) == (None, False, 300)
        [middle] = all_of(known[:1], [run], until=880)
        assert (middle.cause, middle.is_requeued) == ("preempted", True)
        assert sum(middle.parts[0].seconds.values()) == pytest.approx(middle.seconds)
        assert middle.parts[0].seconds["training"] == pytest.approx(500)
        [after] = all_of(known[1:], [run], since=880)
        assert (after.cause, after.is_requeued) == ("completed", False)


def test_the_edges_of_the_period_cut(told: Told) -> None:
    first, second = all_of([job("12", 0, 605), job("12", 900, 1505)], [preempted_once(told)], since=300, until=1200)
    assert (times(first), times(second)) == ((300, 605), (900, 1200))
    assert (first.wait, first.is_cut, second.wait) == (None, True, 60)
    assert first.parts[0].seconds == pytest.approx({"training": 270, "saving": 20, "starting": 10, "holding": 5})
    assert sum(second.uses.values()) == pytest.approx(300)
    assert second.cause == "completed"
    assert all_of([job("12", 0, 605)], [], since=700) == []
    assert all_of([job("12", 0, 605)], [], until=-5) == []


@pytest.mark.parametrize("hours", [-0.9, -0.2, 0.2, 0.9])
def test_a_node_whose_clock_is_wrong(told: Told, hours: float) -> None:
    """Of its times only the lengths are right; what was held is Slurm's to say."""
    run, off = told.runs.new("name=a"), hours * 3600
    told.queued(run, -100, "12")
    told.start(run, 100 + off, "12")
    told.end(run, 1100 + off, "completed", starting=100, training=900)
    [only] = all_of([job("12", 90, 1110)], [told.read(run)])
    assert (times(only), only.cause) == ((90, 1110), "completed")
    assert sum(only.uses.values()) == pytest.approx(1020)
    assert only.uses["training"] == pytest.approx(900)


def test_another_job_with_the_same_id_is_not_the_runs(told: Told) -> None:
    run = told.runs.new("name=a")
    told.queued(run, -100, "12", cluster="other")
    told.start(run, 100, "12")
    told.end(run, 1100, "completed", training=900)
    theirs, own = all_of([job("12", 90, 1110)], [told.read(run)])
    assert (theirs.parts, own.parts != ()) == ((), True)
    theirs, own = all_of([job("12", 90, 1110, user="ben", cluster="other")], [told.read(run)])
    assert (theirs.user, theirs.parts, own.parts != ()) == ("ben", (), True)


def test_runs_of_a_pack_share_an_allocation(told: Told) -> None:
    runs = []
    for number in (1, 2):
        run = told.runs.new("name=pack", f"trainer.seed={number}")
        told.queued(run, -100, "12_0")
        told.start(run, 100, "12_0")
        told.end(run, 100 + 500 * number, "completed", starting=100, training=500 * number - 100)
        runs.append(told.read(run))
    for jobs, length in (([job("12", 100, 1100, job_id="12_0")], 1000), ([], 1000)):
        [only] = all_of(jobs, runs)
        assert only.seconds == length
        assert {part.run for part in only.parts} == {run.name for run in runs}
        assert sum(only.uses.values()) == pytest.approx(length)
        shares = sorted(sum(part.seconds.values()) for part in only.parts)
        assert shares == pytest.approx([1000 / 3, 2000 / 3])  # 500 and 1,000 s of attempts


def test_an_array_task_is_known_by_either_number(told: Told) -> None:
    run = told.runs.new("name=a")
    told.queued(run, -100, "10_2")
    told.start(run, 10, "12")
    told.end(run, 100, "completed", training=90)
    [only] = all_of([job("12", 0, 110, job_id="10_2")], [told.read(run)])
    assert only.uses["training"] == pytest.approx(90)


def test_accountings_runaway_job_ended_with_its_run(told: Told) -> None:
    """slurmdbd never learned of its end."""
    run = told.runs.new("name=a")
    told.queued(run, -100, "12")
    told.start(run, 10, "12")
    told.end(run, 600, "completed", training=500)
    [only] = all_of([job("12", 0, None, state="RUNNING")], [told.read(run)])
    assert (times(only), only.is_running, only.cause) == ((0, 600), False, "completed")
    [soon] = all_of([job("12", 0, None, state="RUNNING")], [told.read(run)], until=700)
    assert (times(soon), soon.is_running) == ((0, 700), True)


def test_a_shell_with_two_runs_and_time_of_its_own(told: Told) -> None:
    records = []
    for number in (1, 2):
        run = told.runs.new("name=try", f"trainer.seed={number}")
        told.start(run, 1000 * number, "12", submission=None, launcher="shell")
        told.end(run, 1000 * number + 300, "interrupted", training=300)
        records.append(told.read(run))
    [shell] = all_of([job("12", 0, 5000, name="interactive")], records)
    assert shell.uses["training"] == pytest.approx(600)
    assert shell.uses["unexplained"] == pytest.approx(4400)
    assert shell.cause == "completed"


def test_a_run_without_slurm(told: Told) -> None:
    run = told.runs.new("name=a")
    told.start(run, 0, None, gpus=2, nodes=["workstation"])
    told.end(run, 600, "completed", starting=60, training=500, saving=40)
    [only] = all_of([job("12", 0, 600)], [told.read(run)])[1:]
    assert (only.job_id, only.gpus, only.qos, only.wait) == (None, 2.0, None, None)
    assert only.uses["training"] == 500


def test_an_end_that_the_next_attempt_has_written(told: Told) -> None:
    """The attempt was killed after 300 s; its end is written a thousand seconds later."""
    run = told.runs.new("name=a")
    told.queued(run, -100, "12")
    told.start(run, 10, "12")
    told.end(
        run, 1300, "node_fail", "It ended without giving a cause. Slurm says NODE_FAIL.", starting=50, training=250
    )
    told.start(run, 1301, "12")
    told.end(run, 1500, "completed", training=190)
    first, second = all_of([], [told.read(run)])
    assert (times(first), times(second)) == ((10, 310), (1301, 1500))
    first, second = all_of([job("12", 0, 320, state="NODE_FAIL"), job("12", 1290, 1510)], [told.read(run)])
    assert (times(first), first.cause) == ((0, 320), "node_fail")
    assert sum(first.uses.values()) == pytest.approx(320)


def test_another_attempt_in_the_same_allocation(told: Told) -> None:
    run = told.runs.new("name=a")
    told.queued(run, -100, "12")
    told.start(run, 10, "12")
    told.end(run, 100, "oom", training=50, starting=40, lost=50)
    told.decided(run, 101, "again")
    told.start(run, 110, "12")
    told.end(run, 300, "completed", training=190)
    for jobs in ([job("12", 0, 310)], []):
        [only] = all_of(jobs, [told.read(run)])
        assert (only.cause, only.is_requeued) == ("completed", False)
        assert only.uses["lost_to_failure"] == pytest.approx(50)
        assert only.uses["holding"] >= 10


def test_a_job_in_which_no_attempt_began(told: Told) -> None:
    run = told.runs.new("name=a")
    told.queued(run, -100, "12")
    [only] = all_of([job("12", 0, 50, state="CANCELLED")], [told.read(run)])
    assert only.uses["starting"] == 50
    assert only.cause == "cancelled"


def test_resubmitted_as_another_job(told: Told) -> None:
    run = told.runs.new("name=a")
    told.queued(run, -100, "12")
    told.start(run, 10, "12")
    told.end(run, 100, "timeout", training=80)
    told.decided(run, 101, "resubmit")
    told.queued(run, 102, "13", after=1)
    told.start(run, 210, "13")
    told.end(run, 300, "completed", training=80)
    first, second = all_of([job("12", 0, 105, state="TIMEOUT"), job("13", 200, 310)], [told.read(run)])
    assert (first.is_requeued, first.cause, second.is_requeued) == (True, "timeout", False)


@pytest.mark.parametrize(("shards", "gpus"), [({"main": 4.0}, 0.5), ({}, None)])
def test_shards(shards: dict[str, Any], gpus: float | None) -> None:
    [only] = all_of([job("12", 0, 3600, gpus=0.0, shards=2)], [], **shards)
    assert only.gpus == gpus
    assert only.gpu_hours == (gpus or 0.0)
