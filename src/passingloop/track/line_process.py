"""A helper process that exchanges messages as lines of JSON and never blocks its owner.

Messages to it go through its standard input, and messages from it through its standard output. Both pipes are
non-blocking; messages that the helper has not read yet are kept in memory. No threads are used, so forks are safe.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import subprocess
import time
from collections.abc import Mapping, Sequence
from typing import IO, Any

Message = dict[str, Any]

BACKLOG_BYTES = 32 * 2**20
"""Bytes of unread messages after which a helper counts as stuck."""


class LineProcess:
    """A running helper. When its owner ends, for whatever reason, its input ends.

    Raises:
        OSError: the process cannot be started.
    """

    def __init__(self, command: Sequence[str], env: Mapping[str, str]) -> None:
        # A session of its own, so that Ctrl-C in the terminal does not reach it.
        self._process = subprocess.Popen(
            command,
            env=env,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            bufsize=0,
            start_new_session=True,
        )
        self._stdin, self._stdout = _non_blocking(self._process.stdin), _non_blocking(self._process.stdout)
        self._unsent = bytearray()
        self._partial = b""
        self._has_ended = False

    @property
    def has_ended(self) -> bool:
        """Whether the helper has ended, and so closed its output."""
        return self._has_ended

    @property
    def is_stuck(self) -> bool:
        """Whether the helper has stopped reading messages."""
        return len(self._unsent) > BACKLOG_BYTES

    @property
    def unsent(self) -> int:
        """Bytes of messages that the helper has not read yet."""
        return len(self._unsent)

    def send(self, message: Mapping[str, Any]) -> None:
        """Queue `message`, and write as much of the queue as the pipe accepts now."""
        self._unsent += json.dumps(message, default=str).encode() + b"\n"
        self._write()

    def receive(self) -> list[Message]:
        """The messages that have arrived since the last call."""
        chunks = []
        while chunk := self._read():
            chunks.append(chunk)
        *lines, self._partial = (self._partial + b"".join(chunks)).split(b"\n")
        return [json.loads(line) for line in lines]

    def remaining_messages(self, seconds: float) -> list[Message]:
        """All messages until the helper ends, for which it waits `seconds` at most."""
        messages, deadline = self.receive(), time.monotonic() + seconds
        while not self._has_ended and (left := deadline - time.monotonic()) > 0:
            select.select([self._stdout], [self._stdin] if self._unsent else [], [], left)
            self._write()
            messages += self.receive()
        return messages

    def kill(self) -> None:
        """Kill the helper, if it has not ended, and close its pipes."""
        self._process.kill()
        with contextlib.suppress(
            subprocess.TimeoutExpired
        ):  # it is blocked in a file system, where signals are not delivered
            self._process.wait(timeout=1)
        self._stdin.close()
        self._stdout.close()

    def _write(self) -> None:
        try:
            while self._unsent:
                del self._unsent[: os.write(self._stdin.fileno(), self._unsent[: select.PIPE_BUF])]
        except BlockingIOError:
            pass
        except BrokenPipeError:  # it has ended, which `_read` finds as well
            self._unsent.clear()

    def _read(self) -> bytes:
        try:
            chunk = os.read(self._stdout.fileno(), 65536)
        except BlockingIOError:
            return b""
        self._has_ended = self._has_ended or not chunk
        return chunk


def _non_blocking(pipe: IO[bytes] | None) -> IO[bytes]:
    assert pipe is not None
    os.set_blocking(pipe.fileno(), False)
    return pipe
