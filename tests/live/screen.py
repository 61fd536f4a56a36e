"""A terminal of a given size: runs a command in it, and keeps what its screen shows, as far as that program writes."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import re
import select
import signal
import struct
import sys
import termios
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

PATIENCE = 60.0
PASSINGLOOP = ("-P", "-m", "passingloop.cli.main")

CONTROL = re.compile(
    r"\x1b\[([?<>=]?)([\d;:]*)([ -/]*)([@-~])|\x1b[()][A-Z0-9]|\x1b[=>78cM]|\x1bP.*?\x1b\\|\x1b\].*?(?:\x07|\x1b\\)"
)
COLOUR = re.compile(r"\x1b\[(?:[\d;]*;)?(?:3[0-8]|4[0-8]|9[0-7]|10[0-7])(?:;[\d;]*)?m")
"""Anything that sets a colour."""

LEAVE = "\x1b[?1049l"
"""Ends the alternate screen."""


@dataclass
class Screen:
    """A command in a terminal of its own."""

    columns: int
    lines: int
    process: int
    controller: int
    raw: str = ""
    """All that was written."""
    code: int | None = None
    _rows: dict[int, list[str]] = field(default_factory=dict)
    _line: int = 0
    _column: int = 0
    _unread: str = ""

    @classmethod
    def of(
        cls,
        words: Sequence[str],
        env: Mapping[str, str],
        folder: Path,
        columns: int = 80,
        lines: int = 24,
        program: Sequence[str] = PASSINGLOOP,
    ) -> Screen:
        """``passingloop WORDS``, or another program of Python."""
        process, controller = pty.fork()
        if process == 0:
            os.chdir(folder)
            fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
            os.execve(sys.executable, [sys.executable, *program, *words], dict(env))
        screen = cls(columns, lines, process, controller)
        screen.resize(columns, lines)
        return screen

    def resize(self, columns: int, lines: int) -> None:
        self.columns, self.lines = columns, lines
        self._rows = {number: row[:columns] for number, row in self._rows.items() if number < lines}
        fcntl.ioctl(self.controller, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

    def type(self, keys: str) -> None:
        os.write(self.controller, keys.encode())

    @property
    def shown(self) -> list[str]:
        rows = ("".join(self._rows.get(number, [])).rstrip() for number in range(self.lines))
        return list(rows)

    @property
    def text(self) -> str:
        return "\n".join(self.shown)

    def until(self, condition: str | Callable[[str], object]) -> str:
        """Read until the screen shows a text, or what `condition` accepts. Returns the screen."""
        holds = (lambda text: condition in text) if isinstance(condition, str) else condition
        deadline = time.monotonic() + PATIENCE
        while not holds(self.text):
            assert time.monotonic() < deadline, self.text
            assert self.read(0.1), f"it has ended: {self.text}"
        seen = self.text
        self.read(0.3)  # the rest of a screen that has come in part only
        return self.text if holds(self.text) else seen

    def read(self, seconds: float) -> bool:
        """Read what comes within some seconds; whether it is still running."""
        if select.select([self.controller], [], [], seconds)[0]:
            try:
                new = os.read(self.controller, 65_536).decode(errors="replace")
            except OSError:
                return False
            self.raw += new
            self._write(new)
            return bool(new)
        return True

    def exit_code(self) -> int:
        """Once the command has ended; what it writes until then is read."""
        deadline = time.monotonic() + PATIENCE
        while (ended := os.waitpid(self.process, os.WNOHANG)) == (0, 0):
            assert time.monotonic() < deadline, self.text
            self.read(0.05)
        while self.read(0.1) and select.select([self.controller], [], [], 0.1)[0]:
            pass
        self.code = os.waitstatus_to_exitcode(ended[1])
        return self.code

    def is_as_before(self) -> bool:
        """Whether the terminal echoes and shows its cursor on the screen that it had before."""
        echoes = termios.tcgetattr(self.controller)[3] & (termios.ECHO | termios.ICANON)
        cursor = self.raw.rfind("\x1b[?25h") > self.raw.rfind("\x1b[?25l")
        return (
            echoes == termios.ECHO | termios.ICANON and cursor and self.raw.rfind(LEAVE) > self.raw.rfind("\x1b[?1049h")
        )

    def close(self) -> None:
        if self.code is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.process, signal.SIGKILL)
            os.waitpid(self.process, 0)
        os.close(self.controller)

    def _write(self, new: str) -> None:
        text = self._unread + new
        position = 0
        while position < len(text):
            if text[position] == "\x1b":
                match = CONTROL.match(text, position)
                if match is None:  # the rest of it is still to come
                    break
                self._obey(match)
                position = match.end()
                continue
            self._put(text[position])
            position += 1
        self._unread = text[position:]

    def _obey(self, match: re.Match[str]) -> None:
        if match[4] == "H":
            line, _, column = (match[2] or "1;1").partition(";")
            self._line, self._column = int(line or 1) - 1, int(column or 1) - 1
        elif (match[4], match[2]) in (("J", ""), ("J", "2"), ("h", "1049")):
            self._rows.clear()

    def _put(self, character: str) -> None:
        if character == "\r":
            self._column = 0
        elif character == "\n":
            self._line += 1
        elif character.isprintable():
            row = self._rows.setdefault(self._line, [])
            row += [" "] * (self._column + 1 - len(row))
            row[self._column] = character
            self._column += 1
