"""passingloop: fine-tune in a GPU shell, send the same command to the Slurm queue, continue exactly where it stood."""

import sys
from itertools import pairwise

__version__ = "0.1.0"


def _runs_as_module() -> bool:
    """Whether this is imported as a part of ``python -m passingloop…``, and so before anything else."""
    words = sys.orig_argv
    return sys.argv[:1] == ["-m"] and any(a == "-m" and b.startswith("passingloop.") for a, b in pairwise(words))


if _runs_as_module() and not sys.flags.safe_path:
    del sys.path[0]  # the working folder
