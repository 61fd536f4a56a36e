"""``python -m passingloop.job RUN_DIR``: one process of a run. Reads what to do from the run directory.

Its place among the others comes in the environment, in the names that torch uses: RANK, LOCAL_RANK, WORLD_SIZE,
LOCAL_WORLD_SIZE, MASTER_ADDR, MASTER_PORT; and the attempt it belongs to in PASSINGLOOP_ATTEMPT. Started by srun,
which PASSINGLOOP_RANKS says, it takes the first four from Slurm's variables.

``python -m passingloop.job --prepare SUBMISSION`` prepares the data of a submission, with which nothing is trained yet.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from types import ModuleType
from typing import Any

PROCESS_START = time.time()

from passingloop.errors import PassingloopError  # noqa: E402  # the clock starts before the imports
from passingloop.files import read_json, write_json  # noqa: E402
from passingloop.preempt.signals import StopRequest  # noqa: E402
from passingloop.rundir.layout import RunDir  # noqa: E402
from passingloop.rundir.submission import Submission  # noqa: E402


def main() -> int:
    """Train. Returns the exit code."""
    if sys.argv[1] == "--prepare":
        return prepare(Submission.at(Path(sys.argv[2])))
    stop = StopRequest()
    run, attempt = RunDir(Path(sys.argv[1])), int(os.environ["PASSINGLOOP_ATTEMPT"])
    into_log = os.environ.get("PASSINGLOOP_RANKS") == "srun" and take_place(run, attempt)
    try:
        with light_imports():
            import transformers.modeling_utils  # noqa: F401  # which otherwise comes with the model

            from passingloop.train.attempt import Attempt  # takes seconds: after the signals are in hand

        Attempt(run, attempt, stop, PROCESS_START, into_log=into_log).train()
    except PassingloopError as error:
        if os.environ.get("PASSINGLOOP_TRACEBACK") == "1":
            raise
        print(f"error: {error}", file=sys.stderr, flush=True)
        return error.exit_code
    return 0


def prepare(submission: Submission) -> int:
    """Prepare the data for which the job of `submission` was made, and no more. Returns the exit code."""
    try:
        from passingloop.train.material import gather_with  # takes seconds

        gather_with(read_json(submission.task(0))["prepare"])
    except PassingloopError as error:
        write_json(submission.failure, {"message": str(error)})
        if os.environ.get("PASSINGLOOP_TRACEBACK") == "1":
            raise
        print(f"error: {error}", file=sys.stderr, flush=True)
        return error.exit_code
    return 0


def take_place(run: RunDir, attempt: int) -> bool:
    """Say in torch's names what Slurm says in its own, and print into the log unless a person watches rank 0.

    Returns whether it prints into the log.
    """
    slurm = {name: os.environ[f"SLURM_{name}"] for name in ("PROCID", "LOCALID", "STEP_NUM_TASKS", "STEP_NUM_NODES")}
    rank, size = int(slurm["PROCID"]), int(slurm["STEP_NUM_TASKS"])
    per_node = size // int(slurm["STEP_NUM_NODES"])
    os.environ |= {
        "RANK": slurm["PROCID"],
        "LOCAL_RANK": slurm["LOCALID"],
        "WORLD_SIZE": slurm["STEP_NUM_TASKS"],
        "LOCAL_WORLD_SIZE": str(per_node),
    }
    into_log = rank > 0 or os.environ.get("PASSINGLOOP_AT_A_TERMINAL") != "1"
    if into_log:
        log = os.open(run.log(attempt, rank), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
        os.dup2(log, 1)
        os.dup2(log, 2)
        os.close(log)
    return into_log


@contextmanager
def light_imports() -> Iterator[None]:
    """Within it lightning and transformers are imported without what they import and this program does not use.

    lightning brings torchmetrics, and that all signal processing of scipy where it is installed; transformers brings
    scipy's optimization, for losses of object detection. Measured where a training process needs 8 s of CPU to start:
    2.5 s and 0.9 s more. Those modules have the names that are asked for and nothing behind them. Afterwards they can
    be imported as ever. What is imported already stays.
    """
    stand_ins = {name: made for name, made in _stand_ins() if name not in sys.modules}
    sys.modules.update(stand_ins)
    try:
        yield
    finally:
        for name in stand_ins:
            del sys.modules[name]


def _stand_ins() -> Iterator[tuple[str, ModuleType]]:
    classes = {name: type(name, (), {}) for name in ("Metric", "MetricCollection")}
    yield "torchmetrics", _module("torchmetrics", __version__=metadata.version("torchmetrics"), **classes)
    yield "scipy.optimize", _module("scipy.optimize", linear_sum_assignment=None)


def _module(name: str, **names: Any) -> ModuleType:
    module = ModuleType(name)
    vars(module).update(names)
    return module


if __name__ == "__main__":
    sys.exit(main())
