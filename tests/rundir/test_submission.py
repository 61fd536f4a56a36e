"""What is written down before and after sbatch, so that a crash in between leaves a trace that can be followed."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import pytest

from passingloop.rundir import ledger
from passingloop.rundir.directory import RunDir
from passingloop.rundir.events import JobRef, Queued, Request, Start
from passingloop.rundir.submission import Home, Intent, Submission, submission_of, submitted_code, submitted_task
from passingloop.rundir.tasks import PackTask, TrainTask


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home.for_user(tmp_path)
    home.create()
    return home


def runs(root: Path, count: int) -> list[RunDir]:
    made = [RunDir(root / "name" / f"{number:012x}") for number in range(count)]
    for run in made:
        run.path.mkdir(parents=True, exist_ok=True)
    return made


def intended(home: Home, count: int) -> tuple[Submission, list[RunDir]]:
    submission, made = home.new_submission(), runs(home.path.parent, count)
    tasks = [TrainTask(run=run, code={}, settings={"number": number}) for number, run in enumerate(made)]
    submission.write_intent(tasks, Path("0123"))
    return submission, made


def job_ids(run: RunDir) -> list[str]:
    return [job.job_id for job in ledger.read(run).jobs]


def test_the_folders_are_private_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        home = Home.for_user(tmp_path)
        home.create()
        submission, _ = intended(home, 2)
    finally:
        os.umask(before)
    tasks = submission.folder / "tasks"  # what a job runs is refused where its folder may be written by others
    for folder in (home.path, home.code, submission.folder.parent, submission.folder, tasks):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert str(os.getuid()) in home.path.name


def test_an_intent_stays_open_until_there_is_a_job(home: Home) -> None:
    submission, made = intended(home, 3)
    assert home.open_submissions() == [submission]
    assert not any(job_ids(run) for run in made)
    submission.accept("12")
    assert home.open_submissions() == []
    assert [job_ids(run) for run in made] == [["12_0"], ["12_1"], ["12_2"]]
    task = submitted_task(made[1])
    assert task is not None
    assert task.settings == {"number": 1}


def test_a_single_run_is_a_job_of_its_own(home: Home) -> None:
    submission, [run] = intended(home, 1)
    submission.accept("7")
    assert job_ids(run) == ["7"]
    assert submission_of(run, submission.name) == submission


def test_accepting_goes_on_where_a_crash_left_it(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    submission, made = intended(home, 3)
    written = ledger.append

    def dies(run: RunDir, line: Queued, *, durable: bool) -> None:
        if run == made[1]:
            raise KeyboardInterrupt
        written(run, line, durable=durable)

    with monkeypatch.context() as patch:
        patch.setattr(ledger, "append", dies)  # the process is killed there
        with pytest.raises(KeyboardInterrupt):
            submission.accept("12")
    assert home.open_submissions() == [submission]
    submission.accept("12")
    assert [job_ids(run) for run in made] == [["12_0"], ["12_1"], ["12_2"]]


def test_a_run_that_has_begun_is_not_queued_afterwards(home: Home) -> None:
    submission, [run] = intended(home, 1)
    start = Start(
        attempt=1, launcher="slurm", job_id="7", nodes=["n1"], processes=1, start_step=0, code={},
        submission=submission.name,
    )  # fmt: skip
    ledger.append(run, start)
    submission.accept("7")
    assert [event.event for event in ledger.read(run).events] == ["start"]


def test_names_of_submissions_sort_by_time_and_never_meet(home: Home) -> None:
    names = [home.new_submission().name for _ in range(50)]
    assert len(set(names)) == 50
    assert [name[:15] for name in names] == sorted(name[:15] for name in names)


RUN = RunDir(Path("/runs/small/0123456789ab"))


def test_an_intent_without_a_version_is_read(tmp_path: Path) -> None:
    submission = Home(tmp_path).new_submission()
    submission.folder.mkdir(parents=True)
    assert submission.read_intent() is None
    submission.record.write_text(json.dumps({"job_id": None, "runs": [str(RUN.path)], "after": 3, "data": ["a/12"]}))
    assert submission.read_intent() == Intent(job_id=None, runs=(RUN,), tasks=(0,), after=3, data=(JobRef("a", "12"),))


def test_several_runs_share_a_task(home: Home) -> None:
    made = runs(home.path.parent, 3)
    members = [TrainTask(run=run, code={}, settings={"number": number}) for number, run in enumerate(made)]
    submission = home.new_submission()
    packs = [PackTask(members=tuple(members[:2]), at_once=2), PackTask(members=tuple(members[2:]), at_once=2)]
    submission.write_intent(packs, Path("0123"))
    submission.accept("12")
    submission.accept("12")
    assert [job_ids(run) for run in made] == [["12_0"], ["12_0"], ["12_1"]]
    assert submitted_task(made[1]) == members[1]
    assert submitted_code(made[1]) is None
    (home.code / "0123").mkdir()
    assert submitted_code(made[1]) == home.code / "0123"


def test_one_pack_is_a_job_and_no_array(home: Home) -> None:
    made = runs(home.path.parent, 2)
    submission = home.new_submission()
    members = tuple(TrainTask(run=run, code={}, settings={}) for run in made)
    submission.write_intent([PackTask(members=members, at_once=2)], Path("0123"))
    submission.accept("12")
    assert [job_ids(run) for run in made] == [["12"], ["12"]]


def test_what_is_asked_for_comes_into_the_ledgers(home: Home) -> None:
    request = Request(nodes=2, gpus=4, cluster="dev", expected_start="2026-11-21T08:00:00.000+00:00")
    submission, [run] = home.new_submission(), runs(home.path.parent, 1)
    submission.write_intent([TrainTask(run=run, code={}, settings={})], Path("0123"), request=request)
    assert submission.read_intent() == Intent(runs=(run,), tasks=(0,), code="0123", request=request)
    submission.accept("12")
    assert [queued.request for queued in ledger.read(run).events_of(Queued)] == [request]
