"""A helper process that is spoken to in lines of JSON and can never block its owner.

Its standard input carries messages to it, its standard output messages back. Both pipes are non-blocking, and
what the helper has not taken yet waits in memory. There are no threads that a fork could catch in the middle.
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
"""Messages a helper may leave untaken before it counts as stuck."""


class LineProcess:
    """One running helper. It sees the end of its input when its owner is gone, however that happened.

    Raises:
        OSError: the process cannot be started.
    """

    def __init__(self, command: Sequence[str], env: Mapping[str, str]) -> None:
        # A session of its own: Ctrl-C in the terminal is the owner's affair.
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
        self._ended = False

    @property
    def ended(self) -> bool:
        """Whether the helper has closed its output, which it does by ending."""
        return self._ended

    @property
    def stuck(self) -> bool:
        """Whether the helper has stopped taking messages."""
        return len(self._unsent) > BACKLOG_BYTES

    def send(self, message: Mapping[str, Any]) -> None:
        """Queue `message`, and pass on as much of the queue as the helper takes now."""
        self._unsent += json.dumps(message, default=str).encode() + b"\n"
        self._write()

    def receive(self) -> list[Message]:
        """The messages that have arrived since the last call."""
        chunks = []
        while chunk := self._read():
            chunks.append(chunk)
        *lines, self._partial = (self._partial + b"".join(chunks)).split(b"\n")
        return [json.loads(line) for line in lines]

    def last_words(self, seconds: float) -> list[Message]:
        """All messages until the helper ends, waiting `seconds` at most."""
        messages, deadline = self.receive(), time.monotonic() + seconds
        while not self._ended and (left := deadline - time.monotonic()) > 0:
            select.select([self._stdout], [self._stdin] if self._unsent else [], [], left)
            self._write()
            messages += self.receive()
        return messages

    def kill(self) -> None:
        """End the helper now, if it has not ended, and free what it held."""
        self._process.kill()
        with contextlib.suppress(subprocess.TimeoutExpired):  # it hangs in a file system, where no signal reaches it
            self._process.wait(timeout=1)
        self._stdin.close()
        self._stdout.close()

    def _write(self) -> None:
        try:
            while self._unsent:
                del self._unsent[: os.write(self._stdin.fileno(), self._unsent[: select.PIPE_BUF])]
        except BlockingIOError:
            pass
        except BrokenPipeError:  # it has ended; the end of its output says so too
            self._unsent.clear()

    def _read(self) -> bytes:
        try:
            chunk = os.read(self._stdout.fileno(), 65536)
        except BlockingIOError:
            return b""
        self._ended = self._ended or not chunk
        return chunk


def _non_blocking(pipe: IO[bytes] | None) -> IO[bytes]:
    assert pipe is not None
    os.set_blocking(pipe.fileno(), False)
    return pipe
