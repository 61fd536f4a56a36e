"""Where torch keeps the code that it compiles: in a folder that only its user can write."""

from __future__ import annotations

import grp
import os
import pwd
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
    """Whether `folder`, which is made if need be, is one that this user alone can write, and nobody can replace."""
    with suppress(OSError):
        folder.mkdir(mode=0o700, exist_ok=True)
        found = folder.lstat()
        own = stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid() and not found.st_mode & 0o022
        return own and all(map(_keeps_its_entries, {*folder.absolute().parents, *folder.resolve().parents}))
    return False


def _keeps_its_entries(folder: Path) -> bool:
    """Whether nobody but its user and root can rename what is in `folder`, which may be a link to one.

    In a folder with the sticky bit, such as /tmp, only the owner of an entry can, and the folder's own.
    """
    found = folder.lstat()
    if found.st_uid not in (0, os.geteuid()):
        return False
    if stat.S_ISLNK(found.st_mode) or found.st_mode & stat.S_ISVTX:
        return True
    return not found.st_mode & 0o002 and (not found.st_mode & 0o020 or _is_own_group(found.st_gid))


def _is_own_group(number: int) -> bool:
    """Whether the group is the user's own, by the custom of many systems: it has their name, and no other member."""
    try:
        user, group = pwd.getpwuid(os.geteuid()), grp.getgrgid(number)
    except KeyError:
        return False
    return user.pw_gid == number and group.gr_name == user.pw_name and set(group.gr_mem) <= {user.pw_name}
