"""The batch script, and submitting it: through submitit, of which only this half is used.

On the node submitit would unpickle a callable and take the signals; there our own command runs, which reads JSON.
"""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from submitit.core.utils import FailedJobError
from submitit.slurm.slurm import SlurmExecutor

from passingloop.errors import ConfigError, MissingError
from passingloop.rundir import events
from passingloop.rundir.events import JobRef
from passingloop.rundir.record import iso_time
from passingloop.rundir.submission import Home, Submission
from passingloop.rundir.tasks import Task
from passingloop.slurm.batch import Request, refusal_sentence
from passingloop.slurm.command import NO_ANSWER_MESSAGES, inherited_variables
from passingloop.slurm.notation import seconds, warning_seconds

WHEN = ("hold", "begin", "dependency")
"""Options that say what a run has to wait for before it begins."""

PATIENCE = 60
"""Seconds that sbatch gets. By itself it tries again for minutes when slurmctld is busy."""

BOOTSTRAP = """
import os, sys
submission, code = sys.argv[1:]
for folder in (submission, code):
    found = os.stat(folder)
    if found.st_uid != os.getuid() or found.st_mode & 0o022:
        sys.exit(f"error: {folder} belongs to or may be written by others, so nothing in it is run.")
sys.path.insert(0, code)
from passingloop.attempts.node import main
sys.exit(main(submission, code))
"""
"""Runs in the job before any of our files is loaded. It stands in the batch script, which Slurm keeps."""


def submit_tasks(
    tasks: Sequence[Task],
    request: Request,
    home: Home,
    code: Path,
    *,
    parallel: int | None = None,
    after: int | None = None,
    data: Sequence[JobRef] = (),
    cluster: str = "",
    expected_start: float | None = None,
) -> JobRef:
    """Submit a job for a task, or an array for several: the intent is written before sbatch, the job id after it.

    What a crash leaves between the two is completed by `passingloop.submit.repair`.

    Args:
        code: the folder of frozen code.
        parallel: how many tasks may run at once, if that is limited.
        after, data: see `passingloop.rundir.submission.Intent`.
        cluster: its name in Slurm.
        expected_start: when Slurm would start a single job that waits for nothing but its place; seconds since the
            epoch.

    Returns the job, for an array with the array's id.

    Raises:
        ConfigError: sbatch refused.
        MissingError: it is not known whether Slurm has got it; the next command finds out.
    """
    submission = home.new_submission()
    submission.write_intent(tasks, code, after, data, _asked(request, len(tasks), data, cluster, expected_start))
    try:
        job_id = Sbatch(request, submission, code, len(tasks), parallel).submit_script()
    except ConfigError:
        submission.withdraw()
        raise
    submission.accept(job_id)
    return JobRef(submission.name, job_id)


def _asked(
    request: Request, count: int, data: Sequence[JobRef], cluster: str, expected_start: float | None
) -> events.Request:
    """What the ledger keeps of a request. Of jobs that wait for something else, no start is expected."""
    waits = count > 1 or bool(data) or any(key in WHEN for key, _ in request.extra)
    return events.Request(
        nodes=request.nodes,
        gpus=request.gpus,
        shards=request.shards,
        cluster=cluster,
        expected_start=None if waits or expected_start is None else iso_time(expected_start),
    )


def script(request: Request, home: Home, code: Path, count: int = 1, parallel: int | None = None) -> str:
    """The batch script of a job that is not submitted, for sbatch to judge or for people to see."""
    return Sbatch(request, home.new_submission(), code, count, parallel).script


class Sbatch(SlurmExecutor):
    """submitit's writer of batch scripts, with another command in them.

    Args:
        request: what to ask for.
        submission: whose tasks the job is to do, from the folder `code`.
        count: how many tasks; more than one makes an array.
        parallel: how many of them at once, if that is limited.
    """

    def __init__(self, request: Request, submission: Submission, code: Path, count: int, parallel: int | None) -> None:
        super().__init__(submission.folder)
        self._code = code
        self.update_parameters(**_parameters(request, submission, count))
        if count > 1:
            self.parameters |= {"map_count": count, "array_parallelism": parallel or count}

    @property
    def script(self) -> str:
        """The batch script."""
        return self._make_submission_file_text(self._submitit_command_str, "")

    def submit_script(self) -> str:
        """Submit. Returns the job id; for an array, that of the array.

        Raises:
            ConfigError: sbatch refused.
            MissingError: it is not known whether Slurm has got it; the next command finds out.
        """
        try:
            return str(self._submit_command(self._submitit_command_str).job_id)
        except FailedJobError as error:
            raise _sentence(str(error)) from error

    @property
    def _submitit_command_str(self) -> str:
        words = [sys.executable, "-P", "-u", "-c", BOOTSTRAP, str(self.folder), str(self._code)]
        return f"exec {shlex.join(words)}"

    def _make_submission_command(self, submission_file_path: Path) -> list[str]:
        without = [word for name in inherited_variables(os.environ) for word in ("-u", name)]
        return ["env", *without, "LC_ALL=C", "timeout", str(PATIENCE), "sbatch", str(submission_file_path)]


def _parameters(request: Request, submission: Submission, count: int) -> dict[str, Any]:
    output = submission.output("%A_%a" if count > 1 else "%j")
    extra = dict(request.extra)
    # Shortly before its time limit a run is asked to stop, as it is when it is preempted: sbatch(1), --signal.
    early = warning_seconds(seconds(request.time) if request.time else None)
    options = {"output": str(output), "signal": f"TERM@{early}", "requeue": True, **extra}
    gpus: int | str | None = None if extra.keys() & {"gres", "gpus-per-node"} else request.gpus or None
    if request.gpu_type:
        gpus = f"{request.gpu_type}:{request.gpus}"
    if request.shards:
        options["gres"] = f"shard:{request.shards}"
    return {
        "job_name": request.name,
        "nodes": request.nodes,
        "ntasks_per_node": request.tasks,
        "cpus_per_task": request.cpus,
        "gpus_per_node": gpus,
        "mem": request.mem,
        "time": request.time,
        "partition": request.partition,
        "account": request.account,
        "qos": request.qos,
        "wckey": None,
        "stderr_to_stdout": True,
        "use_srun": False,
        "additional_parameters": options,
    }


def _sentence(said: str) -> ConfigError | MissingError:
    """What sbatch said when it failed; without words it was ended by `timeout`."""
    words = [line.removeprefix("sbatch: error: ") for line in said.splitlines() if line.startswith("sbatch: error: ")]
    if words and not any(silence in said for silence in NO_ANSWER_MESSAGES):
        return ConfigError(f"Slurm does not take the job: {refusal_sentence('; '.join(words))}")
    return MissingError(
        "Slurm has not answered sbatch, so it is not known whether it has got the job. The next passingloop command "
        "finds out; until then nothing is submitted again."
    )
