"""In the batch job of its own that prepares data: a process does it, and what it fails with is left for its runs."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

from passingloop.files import write_json
from passingloop.rundir.submission import Submission


def prepare(config: Mapping[str, Any], submission: Submission) -> int:
    """Prepare the data of a run with the settings `config`. Returns the job's exit code.

    It may be done any number of times: after a preemption the job starts again, and goes by what is in the cache.
    """
    submission.failure.unlink(missing_ok=True)
    os.umask(0o777 & ~int(config["run_mode"], 8))
    done = subprocess.run(
        [sys.executable, "-P", "-u", "-m", "passingloop.job", "--prepare", str(submission.folder)], check=False
    )
    if done.returncode and not submission.failure.exists():
        write_json(submission.failure, {"message": _in_words(done.returncode)})
    return abs(done.returncode)


def _in_words(code: int) -> str:
    if code != -signal.SIGKILL:
        return f"The process ended with {signal.Signals(-code).name if code < 0 else f'exit code {code}'}."
    return "The process was killed, as it is where a job's memory has run out. Set resources.mem, or prepare here."
