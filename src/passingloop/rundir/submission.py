"""What has been handed to Slurm: a folder per submission, private to its user, beside the runs.

<run_root>/.passingloop-<user id>/
    lock                        one submitting command at a time
    code/<digest>/              frozen code
    open/<submission>           submissions on their way: the ledgers do not know of them yet
    submissions/<submission>/
        submission.json         the runs, and the job id once there is one
        tasks/0003.json         what task 3 of the array is to do
        <job id>_submission.sh  the batch script
        <job id>.txt            what the job's batch step wrote
        failure.json            of a job that was to prepare data: why it could not
"""

from __future__ import annotations

import fcntl
import os
import secrets
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from passingloop.files import read_json, write_json
from passingloop.rundir import ledger
from passingloop.rundir.directory import RunDir
from passingloop.rundir.ledger import JobRef, Queued
from passingloop.rundir.tasks import VERSION, Settings, Task, TrainTask, read_task, read_versioned, write_task
from passingloop.text import say


@dataclass(frozen=True, slots=True)
class Home:
    """One user's folder of submissions under a run root."""

    path: Path

    @classmethod
    def for_user(cls, run_root: Path, user: int | None = None) -> Home:
        return cls(run_root / f".passingloop-{os.getuid() if user is None else user}")

    @property
    def code(self) -> Path:
        return self.path / "code"

    def create(self) -> None:
        """Create the folders, for this user's eyes only whatever the umask."""
        for folder in (self.path, self.code, self.path / "open", self.path / "submissions"):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    @contextmanager
    def lock(self, *, wait: bool = True) -> Iterator[None]:
        """A context in which no other command of this user submits under this run root: no job is submitted twice.

        Raises:
            BlockingIOError: another command is submitting, and `wait` is false.
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
        """A submission with a name that nothing else has, sorted by time."""
        name = time.strftime("%Y%m%dT%H%M%S", time.gmtime()) + "-" + secrets.token_hex(3)
        return Submission(self, name)

    def open_submissions(self) -> list[Submission]:
        """Those that were begun and not brought to their end, oldest first."""
        return [Submission(self, path.name) for path in sorted((self.path / "open").glob("*"))]


@dataclass(frozen=True, kw_only=True, slots=True)
class Intent:
    """``submission.json``: for which runs a job is submitted, and which it is once Slurm has it."""

    job_id: str | None = None
    """That of the array where there are several runs."""
    runs: tuple[RunDir, ...] = ()
    """In the order of the tasks; none for a job that prepares data."""
    after: int | None = None
    """The attempt that it follows, if no person asked for it."""
    data: tuple[JobRef, ...] = ()
    """The jobs that prepare the data."""


@dataclass(frozen=True, slots=True)
class Submission:
    """One sbatch: a job, or an array of them. What is known of it on disk."""

    home: Home
    name: str

    @classmethod
    def from_folder(cls, folder: Path) -> Submission:
        """The one whose folder this is."""
        return cls(Home(folder.parents[1]), folder.name)

    @property
    def folder(self) -> Path:
        return self.home.path / "submissions" / self.name

    @property
    def marker(self) -> Path:
        """Exists while the submission is on its way."""
        return self.home.path / "open" / self.name

    @property
    def record(self) -> Path:
        return self.folder / "submission.json"

    def task(self, index: int) -> Path:
        return self.folder / "tasks" / f"{index:04d}.json"

    def output(self, job_id: str) -> Path:
        """What the batch step of `job_id` wrote."""
        return self.folder / f"{job_id}.txt"

    @property
    def failure(self) -> Path:
        """Why the job that was to prepare data has failed; there only if it did."""
        return self.folder / "failure.json"

    def write_failure(self, message: str) -> None:
        write_json(self.failure, {"message": message})

    def read_failure(self) -> str | None:
        """The message of `write_failure`, if the job has failed."""
        return str(read_json(self.failure)["message"]) if self.failure.exists() else None

    def read_task(self, index: int) -> Task:
        """What task `index` of the array is to do, or the only one.

        Raises:
            RunError: another version of passingloop wrote it.
        """
        return read_task(self.task(index))

    def read_intent(self) -> Intent | None:
        """What `write_intent` and `accept` wrote; None where the command died before.

        Raises:
            RunError: another version of passingloop wrote it.
        """
        if not self.record.exists():
            return None
        content = read_versioned(self.record)
        return Intent(
            job_id=content["job_id"],
            runs=tuple(RunDir(Path(run)) for run in content["runs"]),
            after=content.get("after"),
            data=tuple(JobRef.parse(job) for job in content.get("data", ())),
        )

    def write_intent(self, tasks: Sequence[Task], after: int | None = None, data: Sequence[JobRef] = ()) -> None:
        """Write down what is going to be submitted, before it is; see `Intent` for `after` and `data`."""
        (self.folder / "tasks").mkdir(mode=0o700, parents=True)
        for index, task in enumerate(tasks):
            write_task(self.task(index), task, durable=len(tasks) == 1)
        self.marker.touch()
        runs = tuple(task.run for task in tasks if isinstance(task, TrainTask))
        self._write(Intent(runs=runs, after=after, data=tuple(data)))

    def accept(self, job_id: str) -> None:
        """Write down the job id, first here and then in the ledger of each run, and close the submission.

        What a crash leaves undone of this is done by the next call, and nothing twice.
        """
        intent = self.read_intent()
        assert intent, "the intent is written first"
        if intent.job_id is None:
            self._write(replace(intent, job_id=job_id))
        for index, run in enumerate(intent.runs):
            if not any(job.submission == self.name for job in ledger.read(run).jobs):
                task_id = f"{job_id}_{index}" if len(intent.runs) > 1 else job_id
                queued = Queued(submission=self.name, job_id=task_id, after=intent.after, data=list(intent.data))
                ledger.append(run, queued, durable=False)
        self.marker.unlink(missing_ok=True)

    def withdraw(self) -> None:
        """Close a submission that Slurm has never got."""
        self.marker.unlink(missing_ok=True)

    def _write(self, intent: Intent) -> None:
        runs, data = [str(run.path) for run in intent.runs], [str(job) for job in intent.data]
        content = {"job_id": intent.job_id, "runs": runs, "after": intent.after, "data": data}
        write_json(self.record, {"version": VERSION, **content})


def submission_of(run: RunDir, name: str) -> Submission:
    """The submission `name` that brought `run` into the queue."""
    return Submission(Home.for_user(run.path.parents[1], run.path.stat().st_uid), name)


def submitted_settings(run: RunDir) -> Settings | None:
    """The settings that `run` was last submitted with, if it ever was and they are still there.

    Raises:
        RunError: another version of passingloop wrote them.
    """
    queued = ledger.read(run).events_of(Queued)
    if not queued:
        return None
    _, _, index = queued[-1].job_id.partition("_")
    submission, number = submission_of(run, queued[-1].submission), int(index or 0)
    return submission.read_task(number).settings if submission.task(number).exists() else None
