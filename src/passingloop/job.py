"""``python -m passingloop.job RUN_DIR``: one process of a run. Reads what to do from the run directory.

Its place among the others comes in the environment, in the names that torch uses: RANK, LOCAL_RANK, WORLD_SIZE,
MASTER_ADDR, MASTER_PORT; and the attempt it belongs to in PASSINGLOOP_ATTEMPT.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

PROCESS_START = time.time()

from passingloop.errors import PassingloopError  # noqa: E402  # the clock starts before the imports
from passingloop.preempt.stop import StopRequest  # noqa: E402
from passingloop.rundir.layout import RunDir  # noqa: E402


def main() -> int:
    """Train. Returns the exit code."""
    stop = StopRequest()
    run = RunDir(Path(sys.argv[1]))
    try:
        from passingloop.train.attempt import Attempt  # takes seconds: after the signals are in hand

        Attempt(run, int(os.environ["PASSINGLOOP_ATTEMPT"]), stop, PROCESS_START).train()
    except PassingloopError as error:
        if os.environ.get("PASSINGLOOP_TRACEBACK") == "1":
            raise
        print(f"error: {error}", file=sys.stderr, flush=True)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
