"""passingloop: fine-tune in a GPU shell, send the same command to the Slurm queue, continue exactly where it stood."""

import os
import sys
from itertools import pairwise
from pathlib import Path

__version__ = "0.1.0"


def forget_working_folder() -> None:
    """Take the working folder off the module search path, also for child processes, if an empty part of PYTHONPATH has
    put it there.

    From there a `tokenizers.py` beside somebody's data would be imported instead of the library.
    """
    parts = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    if len(parts) > 1 and "" in parts:
        os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, parts))
        sys.path[:] = [folder for folder in sys.path if folder not in ("", str(Path.cwd()))]


def _runs_as_module() -> bool:
    """Whether this is imported as a part of ``python -m passingloop…``, and so before anything else."""
    words = sys.orig_argv
    return sys.argv[:1] == ["-m"] and any(a == "-m" and b.startswith("passingloop.") for a, b in pairwise(words))


if _runs_as_module() and not sys.flags.safe_path:
    del sys.path[0]  # the working folder
