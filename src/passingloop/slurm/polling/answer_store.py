"""Files with Slurm's answers, each asked for by one process and read by others, of one user or of all users of a node.

A file is two lines of JSON: when Slurm was asked and when it answered, and the answer, a string. In a folder that users
share each has files of their own, named after their user id, and the newest one is read. Whoever writes one can put
into it what they like. So what is read from there is only good for showing, never for deciding.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import re
import secrets
import signal
import stat
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from passingloop import site
from passingloop.errors import SlurmSilent
from passingloop.slurm.command import KEPT_VARIABLES, TIMEOUT

VERSION = 1
SHARED_MODE = stat.S_ISVTX | 0o777
"""The mode of a folder that users share, as /tmp has it."""

PATIENCE = TIMEOUT + 5.0
"""Seconds to wait for a process that is asking. One that was stopped keeps the lock."""

MAX_BYTES = 200_000_000
"""A longer file is not read; 100,000 jobs take about 30 MB."""

MAX_HEADER = 1000
SUFFIX = ".jsonl"
OLD = 86_400.0
"""Seconds after which a user's own files are removed."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """An answer of Slurm."""

    asked: float
    """Seconds since the epoch, as `answered`."""
    answered: float
    text: str | None
    """None: Slurm did not answer."""


@dataclass(frozen=True, slots=True)
class Store:
    """A folder with answers of the cluster that the environment names."""

    folder: Path
    shared: bool

    def fresh(self, question: str, seconds: float) -> Answer | None:
        """The newest answer to `question` that came less than `seconds` ago; None if there is none."""
        answers = (_read(path, owner, seconds) for path, owner in self._files(question, seconds))
        return max((answer for answer in answers if answer), key=lambda answer: answer.answered, default=None)

    def write(self, question: str, answer: Answer) -> None:
        """Keep the answer. Without room, or the right to write, it is not kept."""
        header = {"version": VERSION, "asked": answer.asked, "answered": answer.answered}
        path = self._path(question, os.getuid())
        with contextlib.suppress(OSError):
            _replace(path, f"{json.dumps(header)}\n{json.dumps(answer.text)}\n", 0o644 if self.shared else 0o600)
        if not self.shared:
            self._remove_old_files()

    @contextlib.contextmanager
    def lock(self, question: str) -> Iterator[Callable[[], bool]]:
        """A context with a function that tries to acquire the lock on asking `question`, or others of its kind.

        Raises:
            OSError: the lock cannot be opened; and by the function, if the file system has no locks.
        """
        kind = question.partition("-")[0]
        descriptor = _open_lock(self.folder / f"{cluster_key()}-{kind}.lock", 0o644 if self.shared else 0o600)
        try:
            yield lambda: _acquire(descriptor)
        finally:
            os.close(descriptor)

    def _path(self, question: str, owner: int) -> Path:
        return self.folder / f"{cluster_key()}-{question}-{owner}{SUFFIX}"

    def _files(self, question: str, seconds: float) -> list[tuple[Path, int]]:
        """The files with answers to `question`, and the user that each must belong to.

        Of a folder that users share, which is on this node, only those that were written in the last `seconds`.
        """
        if not self.shared:
            return [(self._path(question, os.getuid()), os.getuid())]
        name = re.compile(rf"{cluster_key()}-{re.escape(question)}-(\d{{1,10}}){re.escape(SUFFIX)}", re.ASCII)
        oldest = time.time() - seconds - 1.0
        with contextlib.suppress(OSError), os.scandir(self.folder) as entries:
            return [
                (Path(entry.path), int(match[1]))
                for entry in entries
                if (match := name.fullmatch(entry.name)) and entry.stat(follow_symlinks=False).st_mtime > oldest
            ]
        return []

    def _remove_old_files(self) -> None:
        with contextlib.suppress(OSError), os.scandir(self.folder) as entries:
            for entry in entries:
                is_answer = entry.name.endswith(SUFFIX)
                if is_answer and time.time() - entry.stat(follow_symlinks=False).st_mtime > OLD:
                    Path(entry.path).unlink()


def polled(store: Store, question: str, seconds: float, ask: Callable[[], str]) -> Answer | None:
    """An answer to `question` that came less than `seconds` ago. One process asks, and those that come meanwhile wait.

    None if it cannot be had from `store`: its file system has no locks, or a process that holds the lock goes on for
    longer than `PATIENCE`.

    Args:
        ask: asks Slurm; an answer is also that Slurm does not answer.

    Raises:
        SlurmMissing, SlurmRefused: by `ask`.
    """
    deadline, pause = time.monotonic() + PATIENCE, 0.02
    try:
        with store.lock(question) as acquire:
            while not (answer := store.fresh(question, seconds)):
                if acquire():
                    return store.fresh(question, seconds) or _asked_and_kept(store, question, ask)
                if time.monotonic() > deadline:
                    return None
                time.sleep(pause)
                pause = min(0.25, 1.5 * pause)
            return answer
    except OSError:
        return None


def _asked_and_kept(store: Store, question: str, ask: Callable[[], str]) -> Answer:
    """Ask, with the lock. Ctrl-Z has to wait meanwhile, as all others would wait for a process that was stopped."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTSTP])
    try:
        answer = asked(ask)
        store.write(question, answer)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    return answer


def asked(ask: Callable[[], str]) -> Answer:
    """The answer to what `ask` asks now."""
    before = time.time()
    text: str | None = None
    with contextlib.suppress(SlurmSilent):
        text = ask()
    return Answer(asked=before, answered=time.time(), text=text)


def own_store() -> Store | None:
    """The folder of this user, which nobody else can read; None if there is no place for one."""
    runtime, cache = os.environ.get("XDG_RUNTIME_DIR"), os.environ.get("XDG_CACHE_HOME")
    if runtime and _is_private(Path(runtime)):
        folder = Path(runtime) / "passingloop"
    elif cache or os.environ.get("HOME"):
        folder = Path(cache or Path.home() / ".cache") / "passingloop" / "slurm"
    else:
        return None
    with contextlib.suppress(OSError):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return Store(folder, shared=False) if _is_private(folder) else None


def folder_problem(folder: Path) -> str | None:
    """Why users cannot share answers in `folder`, as a sentence; None if they can."""
    try:
        status = folder.lstat()
    except OSError as error:
        return f"{folder} is not used: {error.strerror}."
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != site.ROOT or stat.S_IMODE(status.st_mode) != SHARED_MODE:
        return (
            f"{folder} is not used: it is to be a folder of root with mode {SHARED_MODE:o}, where nobody can replace "
            f"the files of others, but it is user {status.st_uid}'s with mode {stat.S_IMODE(status.st_mode):o}."
        )
    return None


def cluster_key() -> str:
    """Tells apart the clusters that can be reached from this machine, by what chooses one of them."""
    chosen = {name: os.environ.get(name, "") for name in KEPT_VARIABLES}
    chosen["SLURM_CONF"] = os.path.realpath(chosen["SLURM_CONF"] or site.SYSTEM_FOLDER / "slurm.conf")
    return hashlib.sha256(json.dumps(chosen, sort_keys=True).encode()).hexdigest()[:16]


def _read(path: Path, owner: int, seconds: float) -> Answer | None:
    """The answer in a file of `owner`; None if it is older than `seconds` or from the future, or no such file."""
    try:
        # NONBLOCK: to open a pipe would wait for whoever writes into it.
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    status = os.fstat(descriptor)
    if not _is_of(status, owner) or status.st_size > MAX_BYTES:
        os.close(descriptor)
        return None
    with open(descriptor, encoding="utf-8") as file:  # noqa: PTH123  # it is open already
        try:
            header = json.loads(file.readline(MAX_HEADER))
            asked, answered = float(header["asked"]), float(header["answered"])
            if header["version"] != VERSION or not asked <= answered or not 0 <= time.time() - answered < seconds:
                return None
            text = json.loads(file.read())
        except (OSError, ValueError, TypeError, KeyError, OverflowError, RecursionError):  # damaged, or made up
            return None
    return Answer(asked=asked, answered=answered, text=text) if text is None or isinstance(text, str) else None


def _is_of(status: os.stat_result, owner: int) -> bool:
    """Whether it is a plain file of `owner` into which nobody else can write."""
    return stat.S_ISREG(status.st_mode) and status.st_uid == owner and not status.st_mode & 0o022


def _is_private(folder: Path) -> bool:
    try:
        status = folder.lstat()
    except OSError:
        return False
    return stat.S_ISDIR(status.st_mode) and status.st_uid == os.getuid() and not status.st_mode & 0o077


def _replace(path: Path, text: str, mode: int) -> None:
    """Write `text` to `path`, complete or not at all, with this mode whatever the umask."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(3)}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode)
    try:
        with open(descriptor, "w", encoding="utf-8") as file:  # noqa: PTH123  # it is open already
            os.fchmod(descriptor, mode)
            file.write(text)
        temporary.replace(path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise


def _open_lock(path: Path, mode: int) -> int:
    """The lock's file, made if need be. It may be another user's, and is only opened for reading: flock(2) takes that,
    while Linux refuses O_CREAT for another user's file in such a folder (fs.protected_regular)."""
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    with contextlib.suppress(FileNotFoundError):
        return os.open(path, flags)
    try:
        descriptor = os.open(path, flags | os.O_CREAT | os.O_EXCL, mode)
    except FileExistsError:  # by another process, just now
        return os.open(path, flags)
    os.fchmod(descriptor, mode)
    return descriptor


def _acquire(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
