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

import os
import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from passingloop.files import read_json, write_json
from passingloop.rundir import ledger
from passingloop.rundir.layout import RunDir
from passingloop.rundir.ledger import JobRef, Queued


@dataclass(frozen=True, slots=True)
class Home:
    """One user's folder of submissions under a run root."""

    path: Path

    @classmethod
    def of(cls, run_root: Path, user: int | None = None) -> Home:
        return cls(run_root / f".passingloop-{os.getuid() if user is None else user}")

    @property
    def lock(self) -> Path:
        return self.path / "lock"

    @property
    def code(self) -> Path:
        return self.path / "code"

    def make(self) -> None:
        """Create the folders, for this user's eyes only whatever the umask."""
        for folder in (self.path, self.code, self.path / "open", self.path / "submissions"):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def new(self) -> Submission:
        """A submission with a name that nothing else has, sorted by time."""
        name = time.strftime("%Y%m%dT%H%M%S", time.gmtime()) + "-" + secrets.token_hex(3)
        return Submission(self, name)

    def open(self) -> list[Submission]:
        """Those that were begun and not brought to their end, oldest first."""
        return [Submission(self, path.name) for path in sorted((self.path / "open").glob("*"))]


@dataclass(frozen=True, slots=True)
class Submission:
    """One sbatch: a job, or an array of them."""

    home: Home
    name: str

    @classmethod
    def at(cls, folder: Path) -> Submission:
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

    def intend(
        self,
        runs: Sequence[RunDir],
        tasks: Sequence[Mapping[str, Any]],
        after: int | None = None,
        data: Sequence[JobRef] = (),
    ) -> None:
        """Write down what is going to be submitted, before it is.

        Args:
            after: which attempt it follows, if nobody asked for it.
            data: the jobs that prepare the data.
        """
        (self.folder / "tasks").mkdir(mode=0o700, parents=True)
        for index, task in enumerate(tasks):
            write_json(self.task(index), task, durable=len(tasks) == 1)
        self.marker.touch()
        paths = [str(run.path) for run in runs]
        write_json(self.record, {"job_id": None, "runs": paths, "after": after, "data": [str(job) for job in data]})

    def accept(self, job_id: str) -> None:
        """Write down the job id, first here and then in the ledger of each run, and close the submission.

        What a crash leaves undone of this is done by the next call, and nothing twice.
        """
        record = read_json(self.record)
        if record["job_id"] is None:
            write_json(self.record, {**record, "job_id": job_id})
        several = len(record["runs"]) > 1
        for index, path in enumerate(record["runs"]):
            run = RunDir(Path(path))
            if not any(job.submission == self.name for job in ledger.read(run).jobs):
                task_id = f"{job_id}_{index}" if several else job_id
                data = [JobRef.parse(job) for job in record.get("data", [])]
                queued = Queued(submission=self.name, job_id=task_id, after=record.get("after"), data=data)
                ledger.append(run, queued, durable=False)
        self.marker.unlink(missing_ok=True)

    def give_up(self) -> None:
        """Close a submission that Slurm has never got."""
        self.marker.unlink(missing_ok=True)


def submission_of(run: RunDir, name: str) -> Submission:
    """The submission `name` that brought `run` into the queue."""
    return Submission(Home.of(run.path.parents[1], run.path.stat().st_uid), name)


def submitted_config(run: RunDir) -> dict[str, Any] | None:
    """The settings that `run` was last submitted with, if it ever was."""
    queued = ledger.read(run).of(Queued)
    if not queued:
        return None
    _, _, index = queued[-1].job_id.partition("_")
    task = submission_of(run, queued[-1].submission).task(int(index or 0))
    config: dict[str, Any] | None = read_json(task)["config"] if task.exists() else None
    return config
