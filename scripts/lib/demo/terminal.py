"""A terminal with bash in it, into which lines are typed, and whose output is kept with its time."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import termios
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from demo.typed import COMMENT_SECONDS, PROMPT, Line

COLUMNS, ROWS = 100, 28
KEY_SECONDS = 0.03
CONTROL = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]|\x1b\][^\x07]*\x07|\r")
CTRL_C = "\x03"


class Terminal:
    """bash in a terminal.

    Attributes:
        output: what it has shown: seconds since the start, and the text.
        ends: the place in `output` at which what belongs to each typed line ends.
    """

    def __init__(self, environment: Mapping[str, str], folder: Path) -> None:
        self.output: list[tuple[float, str]] = []
        self.ends: list[int] = []
        self._begun = time.monotonic()
        self._terminal, inner = pty.openpty()
        fcntl.ioctl(inner, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
        self._bash = subprocess.Popen(
            ["bash", "-i"],
            stdin=inner,
            stdout=inner,
            stderr=inner,
            cwd=folder,
            env=dict(environment),
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # noqa: PLW1509  # nothing else runs here
        )
        os.close(inner)

    def __enter__(self) -> Self:
        self._read_until(PROMPT, 20)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._terminal)
        self._bash.kill()
        self._bash.wait()

    def type_line(self, line: Line) -> None:
        """Type a line, press Ctrl-C where it says so, and wait for the next prompt."""
        for key in line.text:
            self._press(key)
            self._read_for(KEY_SECONDS)
        self._press("\n")
        if line.interrupt_at:
            self._read_until(line.interrupt_at, line.patience)
            self._press(CTRL_C)
        self._read_until(PROMPT, line.patience)
        if line.text.startswith("#"):
            self._read_for(COMMENT_SECONDS)
        self.ends.append(len(self.output))

    def _press(self, key: str) -> None:
        os.write(self._terminal, key.encode())
        self._typed_at = len(self.output)

    def _read_for(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self._read(left)

    def _read_until(self, expected: str, patience: float) -> None:
        """Read until what came after the last key ends with a prompt, or holds another expected text.

        Raises:
            TimeoutError: it did not come.
        """
        start, end = len(self.output), time.monotonic() + patience
        while time.monotonic() < end:
            self._read(0.5)
            seen = CONTROL.sub("", "".join(text for _, text in self.output[start:]))
            if re.search(expected, seen):
                return
        raise TimeoutError(f"{expected} did not come within {patience:.0f} s. Seen: {seen[-2000:]}")

    def _read(self, patience: float) -> None:
        if select.select([self._terminal], [], [], patience)[0]:
            text = os.read(self._terminal, 65536).decode(errors="replace")
            self.output.append((time.monotonic() - self._begun, text))
