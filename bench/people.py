"""Unix users who exist only for a benchmark, and the commands they give.

The benchmark starts itself again in a mount namespace of its own, where /etc/passwd has further lines, and where what
the interpreter needs can be read although it may lie in a folder that is closed to others, such as root's home. The
machine is not changed, and when the last process of the benchmark ends nothing of it is left.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from record import ROOT

MARK = "PASSINGLOOP_BENCH_PEOPLE"
FIRST_ID = 12_000
GROUP = FIRST_ID - 1
"""The group of all of them."""

LEFT_OUT = ("SLURM_", "SBATCH_", "XDG_", "PASSINGLOOP_")
"""Begin the names of variables that a user's session does not get from the benchmark's."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Command:
    """A command that has ended."""

    begun: float
    """seconds since the epoch"""
    seconds: float
    cpu: float
    """seconds of CPU time, with those of the processes it has started"""
    code: int
    memory: int
    """bytes; the most that one of its processes had resident"""
    output: str
    errors: str


@dataclass(frozen=True, slots=True)
class User:
    """A user with a home folder."""

    number: int
    name: str
    home: Path
    environment: dict[str, str]

    @property
    def id(self) -> int:
        return FIRST_ID + self.number

    def passwd_line(self) -> str:
        return f"{self.name}:x:{self.id}:{GROUP}::{self.home}:/bin/bash\n"

    def run(self, *words: str) -> Command:
        """A command in the user's home, to its end."""
        said = self.home / f".said-{time.monotonic_ns()}-{threading.get_ident()}"
        with said.open("w+") as output, said.with_suffix(".errors").open("w+") as errors:
            begun, started = time.time(), time.perf_counter()
            process = subprocess.Popen(
                words,
                cwd=self.home,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=errors,
                user=self.id,
                group=GROUP,
                extra_groups=[],
            )
            _, status, used = os.wait4(process.pid, 0)
            took = time.perf_counter() - started
            process.returncode = os.waitstatus_to_exitcode(status)
        return Command(
            begun=begun,
            seconds=took,
            cpu=used.ru_utime + used.ru_stime,
            code=process.returncode,
            memory=used.ru_maxrss * 1024,
            output=_text_of(said),
            errors=_text_of(said.with_suffix(".errors")),
        )


def _text_of(path: Path) -> str:
    text = path.read_text(encoding="utf-8")
    path.unlink()
    return text


def folder_in_namespace() -> Path:
    """Start this program again in a mount namespace of its own, and end with it; in there, a folder for its files.

    The folder is removed from outside, after the last process, where none of the namespace's mounts can be seen: what
    is mounted in there is in nobody's way who removes files.
    """
    if folder := os.environ.get(MARK):
        return Path(folder)
    if os.getuid() != 0:
        raise SystemExit("This benchmark acts for many users, which takes root.")
    unshare = ["unshare", "--mount", "--propagation", "private"]
    if subprocess.run([*unshare, "true"], capture_output=True, check=False).returncode:
        raise SystemExit("This benchmark needs a mount namespace of its own, which `unshare --mount` was refused here.")
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        process = subprocess.Popen([*unshare, sys.executable, *sys.argv], env=os.environ | {MARK: name})
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda which, _: process.send_signal(which) if which != signal.SIGINT else None)
        code = process.wait()
    raise SystemExit(code)


def make_users(count: int, folder: Path, **environment: str) -> list[User]:
    """Users with homes in `folder`, known to everything in this namespace that asks for names."""
    session = {name: value for name, value in os.environ.items() if not name.startswith(LEFT_OUT)} | environment
    users = []
    for number in range(count):
        name, home = f"user{number:03d}", folder / "home" / f"user{number:03d}"
        runtime = folder / "runtime" / name
        for own in (home, runtime):
            own.mkdir(parents=True, mode=0o755)
            os.chown(own, FIRST_ID + number, GROUP)
            own.chmod(0o700)
        settings = session | {"HOME": str(home), "USER": name, "LOGNAME": name, "XDG_RUNTIME_DIR": str(runtime)}
        users.append(User(number, name, home, settings))
    names = folder / "passwd"
    shutil.copyfile("/etc/passwd", names)
    with names.open("a") as file:
        file.writelines(user.passwd_line() for user in users)
    _mount("--bind", str(names), "/etc/passwd")
    _open_the_way([Path(sys.base_prefix).resolve(), Path(sys.prefix).resolve(), ROOT])
    return users


def _open_the_way(needed: Sequence[Path]) -> None:
    """Cover each folder that is closed to others by an empty one in memory, where what is needed below it shows.

    It can only be read there, so that nothing that goes wrong in here can reach it.
    """
    closed = {parents[0] for path in needed if (parents := _closed_parents(path))}
    for place in sorted(closed):
        inside = [path for path in needed if path.is_relative_to(place)]
        opened = [os.open(path, os.O_PATH) for path in inside]  # before they are covered
        _mount("-t", "tmpfs", "-o", "mode=0755", "tmpfs", str(place))
        for path, descriptor in zip(inside, opened, strict=True):
            path.mkdir(parents=True)
            _mount("--no-canonicalize", "--bind", f"/proc/{os.getpid()}/fd/{descriptor}", str(path))
            _mount("-o", "remount,bind,ro", str(path))
            os.close(descriptor)


def _closed_parents(path: Path) -> list[Path]:
    """The folders on the way to `path` that others may not pass, the highest first."""
    return [parent for parent in reversed(path.parents) if not parent.stat().st_mode & 0o001]


def _mount(*words: str) -> None:
    subprocess.run(["mount", *words], check=True)
