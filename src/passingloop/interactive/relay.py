"""In a step of a session's job: carries an ssh connection between srun and the server that the keeper starts.

The server is the keeper's child and not the step's, so that what it starts, such as an editor's own server, outlives a
connection that breaks.

    python -m passingloop.interactive.relay SESSION
"""

from __future__ import annotations

import contextlib
import os
import socket
import sys
import threading

from passingloop.interactive.door import Door
from passingloop.text import exit_code

CHUNK = 1 << 16


def main(session: str) -> int:
    """Carry bytes in both directions, for the session of that name, until the server ends. Returns 0.

    Raises:
        MissingError: there is no server on this node, or no keeper.
    """
    connection = Door(session).enter("ssh")
    threading.Thread(target=_carry_in, args=(connection,), daemon=True).start()
    while chunk := connection.recv(CHUNK):
        _write(1, chunk)
    return 0


def _carry_in(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):  # the server has ended
        while chunk := os.read(0, CHUNK):
            connection.sendall(chunk)
        connection.shutdown(socket.SHUT_WR)


def _write(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data) :]


if __name__ == "__main__":
    sys.exit(exit_code(lambda: main(sys.argv[1])))
