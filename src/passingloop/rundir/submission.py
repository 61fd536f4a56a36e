"""Submissions to Slurm: a folder for each, private to its user, under the run root.

<run_root>/.passingloop-<user id>/
    lock                        held by a command that submits: one at a time
    code/<digest>/              frozen code
    archive/<name>/<signature>  a run that was put away
    open/<submission>           marks a submission in progress, which the ledgers may not contain yet
    submissions/<submission>/
        submission.json         the runs, and the job id once Slurm has given one
        tasks/0003.json         what task 3 of the array must do
        <job id>_submission.sh  the batch script
        <job id>.txt            the output of the job's batch script
        failure.json            why a job that prepares data has failed
"""

from __future__ import annotations

import fcntl
import os
import secrets
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from passingloop.files import read_json, write_json
from passingloop.rundir import ledger
from passingloop.rundir.directory import RunDir
from passingloop.rundir.events import JobRef, Queued, Request
from passingloop.rundir.tasks import (
    VERSION,
    PackTask,
    PrepareTask,
    Task,
    TrainTask,
    read_task,
    read_versioned,
    write_task,
)
from passingloop.text import say


@dataclass(frozen=True, slots=True)
class Home:
    """The folder of one user's submissions under a run root."""

    path: Path

    @classmethod
    def for_user(cls, run_root: Path, user: int | None = None) -> Home:
        return cls(run_root / f".passingloop-{os.getuid() if user is None else user}")

    @property
    def archive(self) -> Path:
        """The run root of archived runs."""
        return self.path / "archive"

    @property
    def code(self) -> Path:
        return self.path / "code"

    def create(self) -> None:
        """Create the folders, with access for this user only, whatever the umask."""
        for folder in (self.path, self.code, self.path / "open", self.path / "submissions"):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    @contextmanager
    def lock(self, *, wait: bool = True) -> Iterator[None]:
        """A context in which no other command of this user submits under this run root.

        Raises:
            BlockingIOError: another command holds the lock, and `wait` is false.
        """
        with (self.path / "lock").open("a") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if not wait:
                    raise
                say("Another command is submitting; waiting for it.")
                fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def new_submission(self) -> Submission:
        """A new submission with a unique name; names sort by time."""
        name = time.strftime("%Y%m%dT%H%M%S", time.gmtime()) + "-" + secrets.token_hex(3)
        return Submission(self, name)

    def open_submissions(self) -> list[Submission]:
        """The submissions that were begun and not completed or withdrawn, oldest first."""
        return [Submission(self, path.name) for path in sorted((self.path / "open").glob("*"))]


@dataclass(frozen=True, kw_only=True, slots=True)
class Intent:
    """The content of ``submission.json``: the runs for which a job is submitted, and its id."""

    job_id: str | None = None
    """None until Slurm has accepted it; the id of the array if there are several tasks."""
    runs: tuple[RunDir, ...] = ()
    """In the order of the array's tasks; empty for a job that prepares data."""
    tasks: tuple[int, ...] = ()
    """For each of the runs the index of its task; several runs may be packed into one."""
    after: int | None = None
    """The attempt after which passingloop submitted it; None if a user did."""
    data: tuple[JobRef, ...] = ()
    """The jobs that prepare the data."""
    code: str | None = None
    """The name of the folder of frozen code; None in submissions of earlier versions."""
    request: Request | None = None
    """What is asked for."""


@dataclass(frozen=True, slots=True)
class Submission:
    """One call of sbatch, for a job or an array, and its files."""

    home: Home
    name: str

    @classmethod
    def from_folder(cls, folder: Path) -> Submission:
        """The submission whose folder this is."""
        return cls(Home(folder.parents[1]), folder.name)

    @property
    def folder(self) -> Path:
        return self.home.path / "submissions" / self.name

    @property
    def marker(self) -> Path:
        """The file that exists while the submission is in progress."""
        return self.home.path / "open" / self.name

    @property
    def record(self) -> Path:
        return self.folder / "submission.json"

    def task(self, index: int) -> Path:
        return self.folder / "tasks" / f"{index:04d}.json"

    def output(self, job_id: str) -> Path:
        """The output of the batch script of `job_id`."""
        return self.folder / f"{job_id}.txt"

    @property
    def failure(self) -> Path:
        """Why a job that prepares data has failed; it exists only in that case."""
        return self.folder / "failure.json"

    def write_failure(self, message: str) -> None:
        write_json(self.failure, {"message": message})

    def read_failure(self) -> str | None:
        """The message of `write_failure`; None if there is none."""
        return str(read_json(self.failure)["message"]) if self.failure.exists() else None

    def read_task(self, index: int) -> Task:
        """The task with this index in the array; 0 for a single job.

        Raises:
            OtherVersion: it has another format version.
        """
        return read_task(self.task(index))

    def read_intent(self) -> Intent | None:
        """What `write_intent` and `accept` wrote; None if the command died before.

        Raises:
            OtherVersion: it has another format version.
        """
        if not self.record.exists():
            return None
        content = read_versioned(self.record)
        return Intent(
            job_id=content["job_id"],
            runs=tuple(RunDir(Path(run)) for run in content["runs"]),
            tasks=tuple(content.get("tasks", range(len(content["runs"])))),
            after=content.get("after"),
            data=tuple(JobRef.parse(job) for job in content.get("data", ())),
            code=content.get("code"),
            request=Request(**content["request"]) if content.get("request") else None,
        )

    def write_intent(
        self,
        tasks: Sequence[Task],
        code: Path,
        after: int | None = None,
        data: Sequence[JobRef] = (),
        request: Request | None = None,
    ) -> None:
        """Write what is going to be submitted. Called before sbatch; for the last three see `Intent`.

        Args:
            code: the folder of frozen code.
        """
        for folder in (self.folder, self.folder / "tasks"):  # parents=True would give the first the umask's mode
            folder.mkdir(mode=0o700, parents=True)
        for index, task in enumerate(tasks):
            write_task(self.task(index), task, durable=len(tasks) == 1)
        self.marker.touch()
        places = {run: index for index, task in enumerate(tasks) for run in _trained_runs(task)}
        runs, indices = tuple(places), tuple(places.values())
        self._write(Intent(runs=runs, tasks=indices, after=after, data=tuple(data), code=code.name, request=request))

    def accept(self, job_id: str) -> None:
        """Write the job id, first here and then into the ledger of each run, and complete the submission.

        After a crash in the middle, another call does what is missing, and nothing twice.
        """
        intent = self.read_intent()
        assert intent, "the intent is written first"
        if intent.job_id is None:
            self._write(replace(intent, job_id=job_id))
        is_array = max(intent.tasks, default=0) > 0
        for index, run in zip(intent.tasks, intent.runs, strict=True):
            if not any(job.submission == self.name for job in ledger.read(run).jobs):
                task_id = f"{job_id}_{index}" if is_array else job_id
                data, asked = list(intent.data), intent.request
                queued = Queued(submission=self.name, job_id=task_id, after=intent.after, data=data, request=asked)
                ledger.append(run, queued, durable=False)
        self.marker.unlink(missing_ok=True)

    def withdraw(self) -> None:
        """Close a submission that Slurm did not accept."""
        self.marker.unlink(missing_ok=True)

    def _write(self, intent: Intent) -> None:
        runs, data = [str(run.path) for run in intent.runs], [str(job) for job in intent.data]
        request = asdict(intent.request) if intent.request else None
        content = {"job_id": intent.job_id, "runs": runs, "tasks": intent.tasks, "after": intent.after, "data": data}
        write_json(self.record, {"version": VERSION, **content, "code": intent.code, "request": request})


def _trained_runs(task: Task) -> list[RunDir]:
    match task:
        case TrainTask(run=run):
            return [run]
        case PackTask(members=members):
            return [member.run for member in members]
        case PrepareTask():
            return []


def submission_of(run: RunDir, name: str) -> Submission:
    """The submission `name` of a job for `run`."""
    return Submission(Home.for_user(run.path.parents[1], run.path.stat().st_uid), name)


def submitted_task(run: RunDir) -> TrainTask | None:
    """The task of the newest submission of `run`; None if it was never submitted, or its files no longer exist.

    Raises:
        OtherVersion: they have another format version.
    """
    queued = ledger.read(run).events_of(Queued)
    if not queued:
        return None
    task = task_of_job(run, queued[-1].job)
    return task.member(run) if isinstance(task, PackTask) else task


def task_of_job(run: RunDir, job: JobRef) -> TrainTask | PackTask | None:
    """What a job for `run` must do; None if its files no longer exist.

    Raises:
        OtherVersion: they have another format version.
    """
    _, _, index = job.job_id.partition("_")
    submission, number = submission_of(run, job.submission), int(index or 0)
    task = submission.read_task(number) if submission.task(number).exists() else None
    assert not isinstance(task, PrepareTask), "a job that prepares data is in no ledger"
    return task


def submitted_code(run: RunDir) -> Path | None:
    """The folder of frozen code of the newest submission of `run`; None if it was never submitted, or it is gone."""
    queued = ledger.read(run).events_of(Queued)
    submission = submission_of(run, queued[-1].submission) if queued else None
    intent = submission.read_intent() if submission else None
    if submission is None or intent is None or intent.code is None:
        return None
    folder = submission.home.code / intent.code
    return folder if folder.is_dir() else None
