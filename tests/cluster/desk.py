"""A login node at which people sit: terminals, and interactive sessions."""

from __future__ import annotations

import contextlib
import os
import pty
import re
import select
import sys
import time
from dataclasses import dataclass, field

from tests.cluster.cluster import PATIENCE
from tests.cluster.login import Login

PASSINGLOOP = [sys.executable, "-P", "-m", "passingloop.cli.main"]


@dataclass
class Terminal:
    """A terminal in which a command runs."""

    process: int
    controller: int
    shown: str = ""

    def read_until(self, pattern: str) -> re.Match[str]:
        """Read until `pattern` is shown, which is then taken away with what comes before it."""
        deadline = time.monotonic() + PATIENCE
        while not (match := re.search(pattern, self.shown)):
            assert time.monotonic() < deadline, self.shown
            self._read(0.2)
        self.shown = self.shown[match.end() :]
        return match

    def _read(self, seconds: float) -> None:
        if select.select([self.controller], [], [], seconds)[0]:
            with contextlib.suppress(OSError):  # it is closed
                self.shown += os.read(self.controller, 4096).decode(errors="replace")

    def close(self) -> None:
        os.close(self.controller)
        os.waitpid(self.process, 0)

    def type(self, words: str) -> None:
        os.write(self.controller, words.encode())

    def exit_code(self) -> int:
        """Once the command has ended; what it writes until then is read."""
        deadline = time.monotonic() + PATIENCE
        while (ended := os.waitpid(self.process, os.WNOHANG)) == (0, 0):
            assert time.monotonic() < deadline, self.shown
            self._read(0.05)
        return os.waitstatus_to_exitcode(ended[1])


@dataclass(frozen=True)
class Desk(Login):
    """A login node with a home of its own, at which people sit."""

    terminals: list[Terminal] = field(default_factory=list)

    def terminal(self, *words: str) -> Terminal:
        """``passingloop WORDS``, in a terminal."""
        process, controller = pty.fork()
        if process == 0:
            os.chdir(self.folder)
            os.execve(sys.executable, [*PASSINGLOOP, *words], self.env | {"TERM": "dumb", "SHELL": "/bin/bash"})
        self.terminals.append(Terminal(process, controller))
        return self.terminals[-1]

    def active(self, name: str = "passingloop-shell") -> list[str]:
        """The ids of the jobs of that name that wait or run."""
        states = "--states=PENDING,RUNNING,COMPLETING"
        return self.cluster.says("squeue", "--noheader", states, f"--name={name}", "--format=%A").split()

    def output(self) -> str:
        """What the batch scripts of all sessions have printed."""
        return "".join(path.read_text() for path in self.folder.glob("state/passingloop/interactive/sessions/*/*.txt"))
