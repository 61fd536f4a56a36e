"""How what runs in a session's job reaches its keeper: a socket in a private folder on the job's first node.

A connection begins with a word for what it is, and is open as long as that is attached. An ssh connection is handed to
a server after the word.
"""

from __future__ import annotations

import os
import shutil
import socket
import time
from pathlib import Path
from typing import Literal

from passingloop.errors import ConfigError, MissingError
from passingloop.files import write_json
from passingloop.interactive.session import check_private

Visitor = Literal["terminal", "command", "ssh"]

GREETING = {b"t": "terminal", b"c": "command", b"s": "ssh"}
WELCOME, SORRY = b"+", b"-"
"""What the keeper answers."""

PATIENCE = 60.0
"""Seconds for the keeper to open the door: it starts at the same time as the first terminal."""


class Door:
    """The private folder of a session on the first node of its job.

    It is below /tmp and not below TMPDIR, which may differ between the steps of a job.

    Args:
        name: of the session.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.folder = Path(f"/tmp/passingloop-{os.getuid()}-{name}")  # noqa: S108  # checked to be private

    @property
    def address(self) -> Path:
        return self.folder / "keeper.sock"

    @property
    def environment(self) -> Path:
        """The variables of the job, for those who come by ssh."""
        return self.folder / "environment.json"

    def make_folder(self) -> None:
        """Make the folder, unless it is there.

        Raises:
            ConfigError: someone else has made a folder of this name.
        """
        self.folder.mkdir(mode=0o700, exist_ok=True)
        check_private(self.folder)

    def open(self) -> socket.socket:
        """Make the folder and listen. Called by the keeper.

        Raises:
            ConfigError: see `make_folder`.
        """
        self.make_folder()
        write_json(self.environment, dict(os.environ), durable=False)
        listening = socket.socket(socket.AF_UNIX)
        self.address.unlink(missing_ok=True)
        listening.bind(str(self.address))
        listening.listen()
        return listening

    def close(self) -> None:
        """Nobody comes in any more, and nothing is left behind."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def enter(self, visitor: Visitor) -> socket.socket:
        """A connection to the keeper, which has let `visitor` in.

        Raises:
            MissingError: the keeper does not come, or has no ssh server.
        """
        deadline = time.monotonic() + PATIENCE
        while True:
            connection = socket.socket(socket.AF_UNIX)
            try:
                check_private(self.folder)
                connection.connect(str(self.address))
                break
            except (FileNotFoundError, ConnectionRefusedError):
                connection.close()
                if time.monotonic() > deadline:
                    raise MissingError(
                        f"The session does not answer on this node: there is no {self.address}. End it with "
                        "`passingloop shell --end` and begin another."
                    ) from None
                time.sleep(0.02)
        connection.sendall(next(word for word, name in GREETING.items() if name == visitor))
        answer = connection.recv(1)
        if answer == WELCOME:
            return connection
        said = b"".join(iter(lambda: connection.recv(4096), b"")).decode()
        connection.close()
        raise (ConfigError if answer == SORRY else MissingError)(said or "The session ends just now. Begin another.")
