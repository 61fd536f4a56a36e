"""``python -m passingloop.job RUN_DIR``: one process of a run. Reads what to do from the run directory.

Which attempt it belongs to and its place among the others come in the environment: `passingloop.handoff`.

``python -m passingloop.job --prepare SUBMISSION`` prepares the data of a submission, with which nothing is trained yet.
"""

from __future__ import annotations

import functools
import logging
import os
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

PROCESS_START = time.time()

UNDESTROYED: list[object] = []
"""What lives as long as this process: what holds a model that is spread over processes, until `leave` ends this one
without its destructors; and the process that samples the node, which ends when its pipe is closed."""

from passingloop.errors import Interrupted, PassingloopError  # noqa: E402  # the clock starts before the imports
from passingloop.handoff import Handoff  # noqa: E402
from passingloop.preempt.signals import StopRequest, stop_with_parent  # noqa: E402
from passingloop.rundir import record  # noqa: E402
from passingloop.rundir.directory import RunDir  # noqa: E402
from passingloop.rundir.submission import Submission  # noqa: E402
from passingloop.rundir.tasks import PrepareTask  # noqa: E402
from passingloop.sampling.sampler import start_sampler  # noqa: E402
from passingloop.startup.compiled_code import private_code  # noqa: E402
from passingloop.startup.imports import light_imports  # noqa: E402
from passingloop.startup.phases import Phases  # noqa: E402
from passingloop.text import exit_code  # noqa: E402
from passingloop.vitals.beat_thread import BeatThread  # noqa: E402
from passingloop.vitals.marks import MARKS  # noqa: E402


def main() -> int:
    """Train, or prepare. Returns the exit code."""
    if sys.argv[1] == "--prepare":
        return exit_code(functools.partial(prepare, Submission.from_folder(Path(sys.argv[2]))))
    stop = StopRequest()
    run, handoff = RunDir(Path(sys.argv[1])), Handoff.from_environment(os.environ)
    if handoff.by_srun:
        os.environ |= handoff.world.to_environment()  # torch and libraries on it look for the ranks there
    if handoff.redirects_output:
        print_into(run.log(handoff.attempt, handoff.world.rank))
    if handoff.stuck_seconds:
        BeatThread(run, handoff.attempt, handoff.world.rank, handoff.stuck_seconds, MARKS).start()
    return exit_code(functools.partial(train, run, handoff, stop))


@private_code()
def train(run: RunDir, handoff: Handoff, stop: StopRequest) -> int:
    """Train as one process of the attempt. Returns 0.

    Raises:
        PassingloopError: as `passingloop.train.attempt.Attempt.train`.
    """
    if handoff.launcher_process is not None:
        stop_with_parent(handoff.launcher_process)
    phases = Phases(PROCESS_START, handoff)
    config = record.attempt_config(run, handoff.attempt)
    if handoff.world.local_rank == 0 and config.tracking.sample_seconds:
        UNDESTROYED.append(start_sampler(run, handoff.attempt, config.tracking.sample_seconds))
    with light_imports(config.cache_root, alone=handoff.world.size == 1):
        phases.begin("importing torch")
        import torch  # noqa: F401  # by itself for the sake of `phases`

        phases.begin("importing transformers")
        import transformers.modeling_utils  # noqa: F401  # which otherwise comes with the model

        phases.begin("importing lightning and the rest")
        from passingloop.train.attempt import Attempt  # takes seconds: after the signals are in hand

    phases.begin("looking at the run")
    attempt = Attempt(run, handoff, stop, phases)
    UNDESTROYED.append(attempt)
    attempt.train()
    return 0


def prepare(submission: Submission) -> int:
    """Prepare the data for which the job of `submission` was made, and no more. Returns 0.

    Raises:
        PassingloopError: why that cannot be done, which is left in the submission's folder as well.
    """
    try:
        from passingloop.train.material import prepare_cache  # takes seconds

        task = submission.read_task(0)
        assert isinstance(task, PrepareTask)
        prepare_cache(task.settings)
    except PassingloopError as error:
        submission.write_failure(str(error))
        raise
    return 0


def print_into(log: Path) -> None:
    """Redirect stdout and stderr, of child processes too, to the end of `log`."""
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    os.close(descriptor)


def leave(code: int) -> NoReturn:
    """End this process. If everything is done and saved, without the destructors of torch.

    With several processes they now and then abort the process ("terminate called without an active exception") or never
    return, when the other processes are gone already (torch 2.13 with gloo): that would turn a success into a failure.
    """
    if code in (0, Interrupted.exit_code):
        logging.shutdown()
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError, ValueError):  # a pipe that nobody reads any more, or a closed stream
                stream.flush()
        os._exit(code)
    sys.exit(code)


if __name__ == "__main__":
    leave(main())
