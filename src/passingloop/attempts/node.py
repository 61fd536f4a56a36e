"""In a batch job, on its first node: attempts at a run over all nodes of the job, or the preparation of data."""

from __future__ import annotations

import functools
import os
import signal
import subprocess
import sys
from pathlib import Path

from passingloop.attempts.pack import train_pack
from passingloop.attempts.requeue import stay_ended
from passingloop.attempts.training import ignore_signals, train
from passingloop.rundir.code import code_environment
from passingloop.rundir.submission import Submission
from passingloop.rundir.tasks import PackTask, PrepareTask, Settings, TrainTask
from passingloop.text import exit_code


def main(submission: str, code: str) -> int:
    """Carry out the task of this job in the folder `submission`, with `code`. Returns the job's exit code."""
    ignore_signals()
    return exit_code(functools.partial(_carry_out_task, Submission.from_folder(Path(submission)), Path(code)))


def _carry_out_task(submission: Submission, code: Path) -> int:
    task = submission.read_task(int(os.environ.get("SLURM_ARRAY_TASK_ID", "0")))
    match task:
        case TrainTask():
            _set_umask(task.settings)
            try:
                return train(task, submission, code)
            finally:
                stay_ended()
        case PrepareTask():
            _set_umask(task.settings)
            return prepare(submission, code)
        case PackTask():
            try:
                return train_pack(task, submission, code)
            finally:
                stay_ended()


def _set_umask(settings: Settings) -> None:
    os.umask(0o777 & ~int(settings["run_mode"], 8))


def prepare(submission: Submission, code: Path) -> int:
    """Prepare the data of the only task, in a process of its own. Returns the job's exit code.

    It may be done any number of times: after a preemption the job starts again, and goes by what is in the cache.
    """
    submission.failure.unlink(missing_ok=True)
    command = [sys.executable, "-P", "-u", "-m", "passingloop.job", "--prepare", str(submission.folder)]
    done = subprocess.run(command, env=code_environment(os.environ, code), check=False)
    if done.returncode and not submission.failure.exists():
        submission.write_failure(_exit_sentence(done.returncode))
    return abs(done.returncode)


def _exit_sentence(code: int) -> str:
    if code != -signal.SIGKILL:
        return f"The process ended with {signal.Signals(-code).name if code < 0 else f'exit code {code}'}."
    return "The process was killed, as it is where a job's memory has run out. Set resources.mem, or prepare here."
