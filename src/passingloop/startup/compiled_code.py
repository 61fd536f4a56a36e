"""Where torch keeps the code that it compiles: in a folder that only its user can write."""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

CODE_FOLDER = "TORCHINDUCTOR_CACHE_DIR"
"""The variable with the folder of compiled code, which the launcher sets."""


@contextmanager
def private_code() -> Iterator[None]:
    """Within it compiled code is kept, for later attempts, in the folder of the environment if that is the user's own.

    What is in it is executed, whoever has it compiled (blocks, FlexAttention, Triton's kernels), and it lies in the
    cache, which may be shared. Where others can write, the code is kept in a folder of this process, which is removed
    at the end.

    Enter it before torch is imported: torch would make the folder itself, with the mode of the run's folders.
    """
    with ExitStack() as stack:
        if not _is_private(Path(os.environ.get(CODE_FOLDER) or os.devnull)):
            os.environ[CODE_FOLDER] = stack.enter_context(tempfile.TemporaryDirectory(prefix="compiled-"))
        yield


def _is_private(folder: Path) -> bool:
    """Whether `folder`, which is made if need be, is one that this user alone can write."""
    with suppress(OSError):
        folder.mkdir(mode=0o700, exist_ok=True)
        found = folder.lstat()
        return stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid() and not found.st_mode & 0o022
    return False
