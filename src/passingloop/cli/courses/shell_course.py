"""A run of a drill that trains here (``launcher=shell``): the command is a process that we started."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from passingloop.errors import ConfigError, MissingError, RunError
from passingloop.report.drill_page import How
from passingloop.rundir.directory import RunDir

LEAVING = 60.0
"""Seconds in which a command that is told to stop saves and ends; then it is killed."""


class ShellCourse:
    """The command of `run`, and what can be done to it."""

    kinds: tuple[How, ...] = ("kill", "signal")

    def __init__(self, run: RunDir, words: Sequence[str]) -> None:
        self.run = run
        self.starts = 0
        """How often the command was given."""
        self._words = words
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Give the command: afresh the first time, to continue every other."""
        self._process = command([*self._words, f"rerun={'false' if self.starts else 'true'}"])
        self.starts += 1

    def is_over(self) -> bool:
        """Whether the command has ended.

        Raises:
            ConfigError, MissingError: it could not begin, and has said why.
        """
        assert self._process
        code = self._process.poll()
        check(code, self.run)
        return code is not None

    def interrupt(self, how: How) -> None:
        """Kill what trains, or ask it to stop as ``passingloop cancel`` does."""
        assert self._process
        if how == "kill":
            for pid in _trainers(self.run):
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        else:
            self._process.terminate()

    def stop(self) -> None:
        """Leave nothing running."""
        if self._process:
            self._process.terminate()
            wait_for_exit(self._process)


def command(words: Sequence[str]) -> subprocess.Popen[bytes]:
    """``passingloop train`` with `words`, started; in a session of its own: Ctrl-C reaches it through us only."""
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "passingloop.cli.main", "train", *words],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        start_new_session=True,
    )


def check(code: int | None, run: RunDir) -> None:
    """Pass on that a command could not begin.

    Raises:
        ConfigError, MissingError: as it did.
    """
    kind = {ConfigError.exit_code: ConfigError, MissingError.exit_code: MissingError}.get(code or 0)
    if kind:
        raise kind(f"The drill ends here, as the command for {run.path} could not begin. It says why above.")


def failed(run: RunDir) -> RunError:
    """To be raised where a run ended without having been interrupted."""
    log = f" Its log is {run.latest_log}." if run.latest_log.exists() else ""
    return RunError(f"{run.path} failed although nobody interrupted it, so nothing can be compared.{log}")


def wait_for_exit(process: subprocess.Popen[bytes]) -> None:
    """Wait for a process that is about to end; not for ever, and not where Ctrl-C comes again."""
    try:
        process.wait(LEAVING)
    except (subprocess.TimeoutExpired, KeyboardInterrupt):
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _trainers(run: RunDir) -> Iterator[int]:
    """The processes on this machine that train `run`, by their command lines."""
    for place in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it has ended meanwhile, or is someone else's
            words = (place / "cmdline").read_bytes().split(b"\0")
            if b"passingloop.job" in words and os.fsencode(run.path) in words and _is_python(place):
                yield int(place.name)


def _is_python(place: Path) -> bool:
    """Not the srun that has started it, which has the same words on its command line."""
    return (place / "exe").readlink().name != "srun"
